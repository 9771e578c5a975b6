import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { test } from "node:test";
import { endTree, lives } from "./end-tree.ts";

test("a child that is in its parent's process group is ended alone", async () => {
  const [child, sibling] = [1, 2].map(() => spawn("sleep", ["30"], { stdio: "ignore" }));
  await endTree({ pid: child?.pid, leads: false, init: undefined, group: undefined, marker: undefined });
  assert.ok(!lives(child?.pid));
  assert.ok(lives(sibling?.pid));
  sibling?.kill("SIGKILL");
});
