import assert from "node:assert/strict";
import { test } from "node:test";
import { surfaceOf, toolOf } from "./surface.testing.ts";
import { proposeOperations } from "./surface-proposal.ts";

test("what is not said to be read-only writes, and a tool that says it destroys is believed", () => {
  const surface = surfaceOf({
    tools: [
      toolOf("get", { annotations: { readOnlyHint: true } }),
      toolOf("put"),
      toolOf("odd", { annotations: { readOnlyHint: "true" } }),
      toolOf("both", { annotations: { readOnlyHint: true, destructiveHint: true } }),
      toolOf("star*"),
    ],
    prompts: [{ name: "p" }],
  });
  assert.deepEqual(proposeOperations(surface), {
    read: { effect: "read", tools: ["get"], prompts: ["*"] },
    write: { effect: "write", tools: ["odd", "put"] },
    destructive: { effect: "destructive", tools: ["both"] },
  });
  assert.deepEqual(proposeOperations(surfaceOf()), {});
});
