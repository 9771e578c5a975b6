import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseDocument } from "yaml";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { checkConfigText } from "../broker/check-config.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { PinView } from "../upstreams/pins.ts";
import { surfaceOf, toolOf } from "../upstreams/surface.testing.ts";
import type { Surface } from "../upstreams/surface.ts";
import type { Vault } from "../vault/create-vault.ts";
import { pinActions } from "./admin-pins.ts";
import { serviceActions } from "./admin-services.ts";

const HELD: PinView = { kind: "tool", name: "echo", digest: "d1", state: "held", why: "changed", since: "" };

/** The actions over a file in memory, and a server that offers what it is told to. */
async function stage(offers: Surface | Problem = surfaceOf({ tools: [toolOf("put")] })) {
  let text = "version: 1\n";
  const load = async () => {
    const checked = await checkConfigText(Buffer.from(text), "/etc/doorward/doorward.yaml", { home: "/srv/doorward" });
    if (!checked.ok) throw new Problem("invalid_request", { detail: JSON.stringify(checked.findings) });
    return checked.snapshot;
  };
  let snapshot: Snapshot = await load();
  const told: string[] = [];
  const pins = {
    list: () => [HELD, { ...HELD, name: "add", state: "accepted" as const }],
    forget: async (name: string) => void told.push(`forget ${name}`),
    accept: async (name: string, item: unknown) => {
      told.push(`accept ${name} ${JSON.stringify(item)}`);
      return [HELD];
    },
  };
  const deps = {
    vault: {
      confirmService: async () => [],
      unbindService: async () => {},
      heldPairings: () => [],
    } as unknown as Vault,
    snapshot: () => snapshot,
    now: () => new Date(0),
    pins: pins as never,
    upstreams: { stopService: async () => 0, surfaceChanged: (name: string) => void told.push(`changed ${name}`) },
    silentSince: (name: string) => (name === "github" ? new Date(0) : undefined),
    test: async () => ({ ok: true }),
    async editRules(edit: (document: ReturnType<typeof parseDocument>) => void) {
      const document = parseDocument(text);
      edit(document as never);
      const before = text;
      text = document.toString();
      try {
        snapshot = await load();
      } catch (error) {
        text = before;
        throw error;
      }
    },
    async look(name: string) {
      told.push(`look ${name}`);
      if (offers instanceof Problem) throw offers;
      return { surface: offers, held: [] };
    },
  };
  const actions = [...serviceActions(deps as never), ...pinActions(deps)];
  return {
    told,
    text: () => text,
    proofOf: (name: string) => actions.find((action) => action.name === name)?.proof,
    run: async (name: string, args: JsonObject) =>
      (await actions.find((action) => action.name === name)?.run(args, "owner")) as JsonObject,
  };
}

describe("service.add of an MCP server", () => {
  test("without tools: it is looked at once, and operations are proposed", async () => {
    const { run, text, told } = await stage();
    const added = await run("service.add", { name: "demo", mcp: "npx:server@1.2.3", args: ["stdio"] });
    assert.equal(added["proposed"], true);
    assert.deepEqual(told, ["look demo"]);
    assert.match(text(), /command: npx/);
    assert.match(text(), /args: \[ -y, server@1\.2\.3, stdio \]/);
    assert.match(text(), /write: \{ effect: write, tools: \[ put \] \}/);
  });

  test("`service list` says which server lists go without, since when", async () => {
    const { run } = await stage();
    for (const name of ["demo", "github"]) await run("service.add", { name, mcp: "npx:server@1.2.3", args: [] });
    const { services } = (await run("service.list", {})) as { readonly services: readonly JsonObject[] };
    assert.deepEqual(
      services.map((one) => [one["name"], one["silent_since"]]),
      [
        ["demo", undefined],
        ["github", new Date(0).toISOString()],
      ],
    );
  });

  test("with tools: it is not started", async () => {
    const { run, told } = await stage();
    const added = await run("service.add", {
      name: "github",
      mcp: "npx:server@1.2.3",
      env: { name: "GITHUB_TOKEN", secret: "github" },
      hosts: ["api.github.com"],
      place: "header",
      tools: ["get_*"],
      effect: "read",
      read: ["/data/notes"],
      network: ["example.com"],
    });
    assert.deepEqual(told, []);
    assert.equal(added["proposed"], false);
    assert.deepEqual(added["credential"], {
      kind: "env",
      name: "GITHUB_TOKEN",
      secret: "local:github",
      hosts: ["api.github.com:443"],
      place: "header",
    });
  });

  test("a server that runs elsewhere", async () => {
    const { run } = await stage();
    const added = await run("service.add", {
      name: "linear",
      mcp: "https://mcp.linear.example/mcp",
      credential: { kind: "bearer", secret: "linear" },
      tools: ["*"],
    });
    assert.equal(added["url"], "https://mcp.linear.example/mcp");
  });

  for (const [what, offers] of Object.entries({
    "cannot be started": new Problem("upstream_unreachable", { detail: "it exited" }),
    "offers nothing": surfaceOf(),
  })) {
    test(`a server that ${what} is not left in the file, nor are its pins`, async () => {
      const { run, text, told } = await stage(offers);
      await assert.rejects(run("service.add", { name: "demo", mcp: "npx:server@1.2.3" }), (error: Problem) => {
        assert.match(error.message, /^the service was not added: /);
        assert.match(error.remedy, /--tool/);
        return true;
      });
      assert.doesNotMatch(text(), /demo/);
      assert.deepEqual(told, ["look demo", "forget demo"]);
    });
  }

  const WRONG: Readonly<Record<string, JsonObject>> = {
    "a package without a version": { mcp: "npx:server" },
    "a secret without a host": { mcp: "npx:server@1.2.3", env: { name: "A", secret: "b" }, tools: ["*"] },
    "arguments for a server elsewhere": { mcp: "https://a.example/mcp", args: ["x"], tools: ["*"] },
    "an unknown effect": { mcp: "npx:server@1.2.3", tools: ["*"], effect: "none" },
  };
  for (const [what, args] of Object.entries(WRONG)) {
    test(`refuses ${what}`, async () => {
      const { run, text } = await stage();
      await assert.rejects(run("service.add", { name: "demo", ...args }), { code: "invalid_request" });
      assert.doesNotMatch(text(), /demo/);
    });
  }
});

describe("pins", () => {
  test("only the owner accepts, what was looked at; and the clients are told", async () => {
    const { run, told, proofOf } = await stage();
    await run("service.add", { name: "demo", mcp: "npx:server@1.2.3", tools: ["*"] });
    assert.equal(proofOf("service.pin.accept"), "owner");
    assert.deepEqual(((await run("service.pins", { name: "demo" }))["pins"] as unknown[]).length, 2);
    const items = [{ kind: "tool", name: "echo", digest: "seen" }];
    await run("service.pin.accept", { name: "demo", items });
    await run("service.pin.accept", { name: "demo" });
    assert.deepEqual(told, [
      'accept demo {"kind":"tool","name":"echo","digest":"seen"}',
      "changed demo",
      'accept demo {"kind":"tool","name":"echo","digest":"d1"}',
      "changed demo",
    ]);
    await assert.rejects(run("service.pins", { name: "none" }), { code: "not_found" });
    assert.deepEqual((await run("service.show", { name: "demo" }))["held_items"], [
      { kind: "tool", name: "echo", why: "changed" },
    ]);
  });
});
