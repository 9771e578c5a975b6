import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  chmodSync,
  lstatSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, test } from "node:test";
import { promisify } from "node:util";
import type { Document } from "yaml";
import { addAgent, addRole, addService, hasEntry, removeService, setAgentRoles } from "./config-edits.ts";
import { editConfig } from "./edit-config.ts";
import { EXAMPLE } from "./example.testing.ts";
import { acquireFileLock } from "./file-lock.ts";
import { parseConfig } from "./parse-config.ts";

const folder = mkdtempSync(join(tmpdir(), "doorward-edit-"));
after(() => rmSync(folder, { recursive: true, force: true }));
let count = 0;

function place(text?: string): string {
  const path = join(folder, `${++count}.yaml`);
  if (text !== undefined) writeFileSync(path, text);
  return path;
}

const check = (text: string) => {
  const result = parseConfig(text);
  return result.ok ? [] : result.findings;
};

async function edited(text: string | undefined, edit: (document: Document) => void): Promise<string> {
  const path = place(text);
  const result = await editConfig({ path, edit, check });
  assert.ok(result.ok, JSON.stringify(result));
  assert.equal(readFileSync(path, "utf8"), result.text);
  return result.text;
}

/** Lines of `before` that are not in `text`. */
const lost = (before: string, text: string) => before.split("\n").filter((line) => !text.split("\n").includes(line));

describe("an edit", () => {
  test("keeps every line that it does not concern, comments and spaces included", async () => {
    const text = await edited(EXAMPLE, (document) => {
      addAgent(document, "new-bot", { roles: ["dns-reader"] });
    });
    assert.deepEqual(lost(EXAMPLE, text), []);
    assert.match(text, /\n {2}new-bot:\n {4}roles: \[ ?dns-reader ?\]\n/);
  });

  test("adds and removes services, roles and roles of agents", async () => {
    const text = await edited(EXAMPLE, (document) => {
      assert.equal(hasEntry(document, "services", "intranet"), true);
      assert.equal(removeService(document, "intranet"), true);
      assert.equal(removeService(document, "nothing"), false);
      addService(document, "stripe", {
        url: "https://api.stripe.com",
        credential: { kind: "bearer", secret: "local:stripe" },
        operations: { read: { effect: "read", allow: ["GET /{path...}"] } },
      });
      addRole(document, "payer", { allow: ["stripe:*"] });
      setAgentRoles(document, "dns-bot", ["dns-reader", "payer"]);
      setAgentRoles(document, "second", ["payer"]);
    });
    const result = parseConfig(text);
    assert.ok(result.ok);
    assert.deepEqual([...result.config.services.keys()], ["registrar", "github", "linear", "stripe"]);
    assert.deepEqual(result.config.agents.get("dns-bot")?.roles, ["dns-reader", "payer"]);
    assert.deepEqual(result.config.agents.get("second")?.roles, ["payer"]);
    for (const comment of ["# OAuth issuer and audience", "# read | write | destructive", "# order never matters"])
      assert.ok(text.includes(comment));
  });

  test("begins a missing, empty or bare file", async () => {
    for (const text of [
      undefined,
      "",
      "# ours\n",
      "version: 1\n",
      "version: 1\nagents:\n",
      "version: 1\nagents: {}\n",
    ]) {
      const result = parseConfig(await edited(text, (document) => addAgent(document, "bot", {})));
      assert.ok(result.ok && result.config.agents.has("bot"));
    }
  });

  test("keeps CRLF, mode and links", async () => {
    const path = place(EXAMPLE.replaceAll("\n", "\r\n"));
    chmodSync(path, 0o640);
    const link = `${path}.link`;
    symlinkSync(path, link);
    const result = await editConfig({ path: link, edit: (document) => addRole(document, "x", {}), check });
    assert.ok(result.ok);
    assert.equal(lstatSync(link).isSymbolicLink(), true);
    assert.equal(statSync(path).mode & 0o777, 0o640);
    assert.ok(!/[^\r]\n/.test(readFileSync(path, "utf8")));
  });

  test("that would leave a faulty file, throws, or meets one writes nothing", async () => {
    const path = place(EXAMPLE);
    const refused = await editConfig({
      path,
      edit: (document) => addAgent(document, "bot", { roles: ["nobody"] }),
      check,
    });
    assert.ok(!refused.ok);
    const errors = refused.findings.filter(({ severity }) => severity === "error");
    assert.match(errors[0]?.problem ?? "", /no role `nobody`/);
    await assert.rejects(
      editConfig({
        path,
        edit: () => {
          throw new Error("stop");
        },
        check,
      }),
      /stop/,
    );
    assert.equal(readFileSync(path, "utf8"), EXAMPLE);
    const broken = place("version: [1");
    assert.equal((await editConfig({ path: broken, edit: () => {}, check: () => [] })).ok, false);
    assert.equal(readFileSync(broken, "utf8"), "version: [1");
  });

  test("that changes nothing does not touch the file", async () => {
    const path = place(EXAMPLE);
    const before = statSync(path).ino;
    const result = await editConfig({ path, edit: () => {}, check });
    assert.ok(result.ok && !result.changed);
    assert.equal(statSync(path).ino, before);
  });

  test("begins anew when an editor saved in between", async () => {
    const path = place("version: 1\n");
    let saved = false;
    const result = await editConfig({
      path,
      edit: (document) => addAgent(document, "bot", {}),
      check: () => {
        if (!saved) writeFileSync(path, "version: 1\nroles: { kept: {} }\n");
        saved = true;
        return [];
      },
    });
    assert.ok(result.ok);
    assert.match(readFileSync(path, "utf8"), /kept[\s\S]*bot/);
  });
});

describe("parallel edits", () => {
  test("of 20 processes are all there", async () => {
    const path = place("version: 1\n# mine\nroles:\n  reader: {}\n");
    const child = join(import.meta.dirname, "edit-child.testing.ts");
    const names = Array.from({ length: 20 }, (_, index) => `agent-${index}`);
    const run = promisify(execFile);
    const done = await Promise.all(
      names.map((name) => run(process.execPath, ["--disable-warning=ExperimentalWarning", child, path, name])),
    );
    assert.deepEqual(new Set(done.map(({ stdout }) => stdout)), new Set(["edited"]));
    const result = parseConfig(readFileSync(path));
    assert.ok(result.ok);
    assert.deepEqual([...result.config.agents.keys()].sort(), names.sort());
    assert.match(readFileSync(path, "utf8"), /# mine/);
    assert.deepEqual(
      readdirSync(folder).filter((name) => name.startsWith(".")),
      [],
      "nothing is left beside the file",
    );
  });

  test("of one process are all there", async () => {
    const path = place("version: 1\n");
    await Promise.all(
      Array.from({ length: 15 }, (_, index) =>
        editConfig({ path, edit: (document) => addRole(document, `r${index}`, {}), check }),
      ),
    );
    const result = parseConfig(readFileSync(path));
    assert.ok(result.ok && result.config.roles.size === 15);
  });

  test("wait for the lock, and say so when it is not given back", async () => {
    const path = join(folder, "held.lock");
    const held = await acquireFileLock(path, { waitMs: 0 });
    assert.ok(held);
    assert.equal(await acquireFileLock(path, { waitMs: 40 }), undefined);
    await held[Symbol.asyncDispose]();
    await using next = await acquireFileLock(path, { waitMs: 0 });
    assert.ok(next);
  });
});
