import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import type { ServerResponse } from "node:http";
import { test } from "node:test";
import { AnswerWatch } from "./answer-watch.ts";

function watched(state: { readonly closed?: boolean } = {}) {
  const response = Object.assign(new EventEmitter(), {
    closed: false,
    destroyed: false,
    writableFinished: false,
    ...state,
  });
  const watch = new AnswerWatch(response as unknown as ServerResponse);
  const told: string[] = [];
  watch.addEventListener("abort", () => told.push("left"));
  watch.whenSent(() => told.push("sent"));
  return { response, watch, told };
}

test("a client that leaves before its answer cancels the call, once", () => {
  const { response, watch, told } = watched();
  assert.equal(watch.aborted, false);
  response.emit("close");
  response.emit("close");
  assert.deepEqual([watch.aborted, told], [true, ["left", "sent"]]);
});

test("an answer that left cancels nothing", () => {
  const { response, watch, told } = watched();
  response.writableFinished = true;
  response.emit("close");
  assert.deepEqual([watch.aborted, told], [false, ["sent"]]);
  watch.whenSent(() => told.push("at once"));
  assert.deepEqual(told, ["sent", "at once"]);
});

test("who no longer listens is not told", () => {
  const { response, watch, told } = watched();
  const leave = () => told.push("never");
  watch.addEventListener("abort", leave);
  watch.removeEventListener("abort", leave);
  response.emit("close");
  assert.deepEqual(told, ["left", "sent"]);
});

test("a client that had left already has cancelled its call", () => {
  const { watch, told } = watched({ closed: true });
  assert.deepEqual([watch.aborted, told], [true, ["sent"]]);
});
