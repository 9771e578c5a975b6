import assert from "node:assert/strict";
import { test } from "node:test";
import { classifyInboundRequest } from "@modelcontextprotocol/server";
import type { JsonObject, JsonValue } from "../base/json.ts";
import { classify, type McpHeaders } from "./era.ts";
import { parseMessage, RpcError } from "./json-rpc.ts";

const VERSION = "io.modelcontextprotocol/protocolVersion";
const CAPABILITIES = "io.modelcontextprotocol/clientCapabilities";
const CLIENT = "io.modelcontextprotocol/clientInfo";
const MODERN = "2026-07-28";

/** A modern call of `x`, and how it differs from a good one. */
interface Parts {
  readonly method?: string;
  readonly notification?: boolean;
  readonly version?: JsonValue | undefined;
  readonly capabilities?: JsonValue | undefined;
  readonly client?: JsonValue;
  readonly headers?: Partial<McpHeaders>;
  readonly params?: JsonObject;
}

function message(parts: Parts): JsonObject {
  const { method = "tools/call", notification = false } = parts;
  const meta = {
    ...("version" in parts ? (parts.version === undefined ? {} : { [VERSION]: parts.version }) : { [VERSION]: MODERN }),
    ...("capabilities" in parts
      ? parts.capabilities === undefined
        ? {}
        : { [CAPABILITIES]: parts.capabilities }
      : { [CAPABILITIES]: {} }),
    ...(parts.client === undefined ? {} : { [CLIENT]: parts.client }),
  };
  const named = method === "tools/call" ? { name: "x" } : {};
  const params = { ...named, ...parts.params, ...(Object.keys(meta).length === 0 ? {} : { _meta: meta }) };
  return { jsonrpc: "2.0", ...(notification ? {} : { id: 1 }), method, params };
}

function headersOf(parts: Parts): McpHeaders {
  const { method = "tools/call" } = parts;
  const name = method === "tools/call" ? "x" : undefined;
  return { version: MODERN, method, name, ...parts.headers };
}

function outcome(body: JsonObject, headers: McpHeaders | undefined): string | number {
  try {
    return classify(parseMessage(body), headers);
  } catch (error) {
    if (error instanceof RpcError) {
      assert.equal(error.status, 400);
      return error.code;
    }
    throw error;
  }
}

const CELLS: Record<string, readonly [Parts, string | number]> = {
  "a good modern call": [{}, "modern"],
  "a name in Base64": [{ headers: { name: "=?base64?eA==?=" } }, "modern"],
  "a name in Base64 that is none": [{ headers: { name: "=?base64?e?=" } }, -32020],
  "a name in Base64 that is no UTF-8": [{ headers: { name: "=?base64?/w==?=" } }, -32020],
  "another name in the header": [{ headers: { name: "y" } }, -32020],
  "no name in the header": [{ headers: { name: undefined } }, -32020],
  "another method in the header": [{ headers: { method: "tools/list" } }, -32020],
  "no method in the header": [{ headers: { method: undefined } }, -32020],
  "another version in the header": [{ headers: { version: "2025-11-25" } }, -32020],
  "no version in the header": [{ headers: { version: undefined } }, -32020],
  "two version headers, joined": [{ headers: { version: `${MODERN}, ${MODERN}` } }, -32020],
  "a version that is no text": [{ version: 7 }, -32602],
  "a modern header and no claim": [{ version: undefined }, -32602],
  "no capabilities": [{ capabilities: undefined }, -32602],
  "capabilities that are no object": [{ capabilities: [] }, -32602],
  "a client without a version": [{ client: { name: "c" } }, -32602],
  "a client with both": [{ client: { name: "c", version: "1" } }, "modern"],
  "a version of tomorrow": [{ version: "2099-01-01", headers: { version: "2099-01-01" } }, -32022],
  "a version that is none": [{ version: "junk", headers: { version: "junk" } }, -32022],
  "an older version in both": [{ version: "2025-11-25", headers: { version: "2025-11-25" } }, -32022],
  "no claim and a header that is no version": [{ version: undefined, headers: { version: "junk" } }, -32602],
  "no claim and an older header": [{ version: undefined, headers: { version: "2025-11-25" } }, "legacy"],
  "no claim and no header": [{ version: undefined, headers: { version: undefined } }, "legacy"],
  "`initialize` without a claim": [
    { method: "initialize", version: undefined, headers: { version: undefined } },
    "legacy",
  ],
  "`initialize` under a modern header": [{ method: "initialize", version: undefined }, -32020],
  "a modern notification": [
    { method: "notifications/x", notification: true, headers: { method: undefined } },
    "modern",
  ],
};

for (const [what, [parts, expected]] of Object.entries(CELLS)) {
  test(`${what}: ${expected}`, () => assert.equal(outcome(message(parts), headersOf(parts)), expected));
}

test("on stdio there are no headers to agree with", () => {
  assert.equal(outcome(message({}), undefined), "modern");
  assert.equal(outcome(message({ version: undefined }), undefined), "legacy");
  assert.equal(outcome(message({ version: "2099-01-01" }), undefined), -32022);
});

/** Every combination of these, against the official SDK's own classifier. */
const VERSIONS = [undefined, MODERN, "2025-11-25", "2025-03-26", "2099-01-01", "junk"];
const METHODS = ["tools/call", "tools/list", "initialize", "server/discover", "notifications/cancelled"];

test("law: what the SDK's classifier refuses we refuse, and what both serve is of one era", () => {
  let compared = 0;
  for (const method of METHODS)
    for (const version of VERSIONS)
      for (const header of VERSIONS)
        for (const capabilities of [{}, undefined, "x"])
          for (const methodHeader of [undefined, method, "other"])
            for (const name of [undefined, "x", "y", "=?base64?eA==?=", "=?base64?!?="]) {
              const notification = method.startsWith("notifications/");
              const body = message({ method, notification, version, capabilities });
              const headers = { version: header, method: methodHeader, name };
              const ours = outcome(body, headers);
              const theirs = classifyInboundRequest({
                httpMethod: "POST",
                body,
                ...(header === undefined ? {} : { protocolVersionHeader: header }),
                ...(methodHeader === undefined ? {} : { mcpMethodHeader: methodHeader }),
                ...(name === undefined ? {} : { mcpNameHeader: name }),
              });
              compared += 1;
              const what = JSON.stringify({ body, headers, theirs });
              if (theirs.kind === "reject") assert.equal(typeof ours, "number", what);
              else if (typeof ours === "string") assert.equal(ours, theirs.kind, what);
              // What they leave to later steps: versions that are not spoken, the other standard headers.
              else assert.ok(ours === -32022 || ours === -32020 || method === "initialize", what);
            }
  assert.ok(compared > 5_000);
});
