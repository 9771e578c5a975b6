import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { Client, StreamableHTTPClientTransport } from "@modelcontextprotocol/client";
import { mcpService, operation } from "../policy/policy.testing.ts";
import { dualEra, scripted, stage } from "../upstreams/upstreams.testing.ts";
import { serve } from "./http-endpoint.testing.ts";

const ALL = [operation("all", { allow: [], tools: ["*"], prompts: ["*"], resources: ["*"] })];

/** Doorward's face over running servers of both eras, and the SDK's client of either era before it. */
async function face(t: TestContext, path: string, era: "modern" | "legacy") {
  const { upstreams, services } = stage(t);
  const real = [
    { ...mcpService("real-old", ALL), server: scripted().config.server },
    { ...mcpService("real-new", ALL), server: dualEra(["modern"]).config.server },
  ];
  const served = await serve(t, undefined, { upstreams, services: real });
  for (const service of served.deps.snapshot().services.values()) {
    if (service.kind === "mcp") services.set(service.config.name, service);
  }
  const asked: string[] = [];
  const client = new Client(
    { name: "client", version: "1" },
    {
      capabilities: { elicitation: { form: {} } },
      versionNegotiation: { mode: era === "modern" ? { pin: "2026-07-28" } : "legacy" },
    },
  );
  client.setRequestHandler("elicitation/create", (request) => {
    asked.push(request.params.message);
    return { action: "accept", content: { nickname: "nick" } };
  });
  await client.connect(new StreamableHTTPClientTransport(new URL(served.base + path)));
  t.after(() => client.close());
  return { ...served, client, asked };
}

for (const era of ["modern", "legacy"] as const) {
  test(`a ${era} client of the SDK lists and calls servers of both eras through \`/mcp\``, async (t) => {
    const { client } = await face(t, "/mcp", era);
    const { tools } = await client.listTools();
    const names = tools.map(({ name }) => name);
    for (const name of ["doorward_own", "real-old__echo", "real-new__echo", "repo__get_issue"]) {
      assert.ok(names.includes(name), `${name} of ${names.join(" ")}`);
    }
    for (const name of ["real-old__echo", "real-new__echo"]) {
      const { content } = await client.callTool({ name, arguments: { a: "b" } });
      assert.deepEqual(content, [{ type: "text", text: '{"a":"b"}' }]);
    }
  });

  for (const upstream of ["real-old", "real-new"]) {
    test(`a ${era} client is asked what \`${upstream}\` wants to know, and its answer gets there`, async (t) => {
      const { client, asked } = await face(t, `/mcp/${upstream}`, era);
      const { content } = await client.callTool({ name: "ask", arguments: {} });
      assert.match(JSON.stringify(content), /nick/);
      assert.equal(asked.length, 1);
      assert.match(asked[0] ?? "", new RegExp(upstream), "it says who asks");
    });
  }

  test(`a ${era} client sees the progress of its own call`, async (t) => {
    const { client } = await face(t, "/mcp/real-old", era);
    const seen: number[] = [];
    await client.callTool(
      { name: "progress", arguments: {} },
      { onprogress: ({ progress }) => void seen.push(progress) },
    );
    assert.deepEqual(seen, [1, 2]);
  });
}
