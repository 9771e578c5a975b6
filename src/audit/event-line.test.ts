import assert from "node:assert/strict";
import { test } from "node:test";
import { FIRST_PREV, readEventLine, writeEventLine } from "./event-line.ts";

const PLACE = { seq: 1, at: "2026-01-01T00:00:00.000Z", node: "n", prev: FIRST_PREV };

test("a datum that would take the place of another key is not written", () => {
  for (const key of ["seq", "type", "request_id", "prev", "hash", "0", "1a"]) {
    assert.throws(() => writeEventLine({ type: "config.loaded", data: { [key]: "x" } }, PLACE), TypeError, key);
  }
});

test("a line is read back as it was written", () => {
  const whole = writeEventLine({ type: "config.loaded", data: { sha256: "…\u2028" }, agent: 'a"\\' }, PLACE);
  const back = readEventLine(Buffer.from(whole.line));
  assert.ok("record" in back);
  assert.deepEqual([back.record.agent, back.record["sha256"]], ['a"\\', "…\u2028"]);
});
