import assert from "node:assert/strict";
import { test } from "node:test";
import { inspect } from "node:util";
import { Problem } from "../base/problem.ts";
import { type AnswerStage, upstreamProblem } from "./upstream-problem.ts";

const TABLE: readonly [code: string, stage: AnswerStage, expected: string][] = [
  ["HPE_INVALID_CONSTANT", "head", "upstream_invalid"],
  ["UND_ERR_HEADERS_OVERFLOW", "head", "upstream_invalid"],
  ["UND_ERR_RES_CONTENT_LENGTH_MISMATCH", "body", "upstream_invalid"],
  ["UND_ERR_SOCKET", "nothing", "upstream_unreachable"],
  ["UND_ERR_SOCKET", "head", "upstream_invalid"],
  ["UND_ERR_SOCKET", "body", "upstream_invalid"],
  ["ECONNRESET", "nothing", "upstream_unreachable"],
  ["ECONNRESET", "body", "upstream_invalid"],
  ["EPIPE", "nothing", "upstream_unreachable"],
  ["ETIMEDOUT", "nothing", "upstream_timeout"],
  ["UND_ERR_INVALID_ARG", "nothing", "invalid_request"],
  ["UND_ERR_DESTROYED", "nothing", "upstream_unreachable"],
  ["ERR_ASSERTION", "body", "internal_error"],
];

for (const [code, stage, expected] of TABLE) {
  test(`${code} with ${stage} received is ${expected}`, () => {
    assert.equal(upstreamProblem(Object.assign(new Error("x"), { code }), stage).code, expected);
  });
}

test("nothing that an upstream wrote is in the problem", () => {
  const error = Object.assign(new Error("hunter2"), { code: "HPE_hunter2 \n", data: "hunter2", cause: "hunter2" });
  const problem = upstreamProblem(error, "head");
  assert.doesNotMatch(inspect(problem, { depth: 9, showHidden: true }).replace(problem.stack ?? "", ""), /hunter2/);
});

test("a problem stays what it is, and what is not an error is ours", () => {
  const problem = new Problem("killed");
  assert.equal(upstreamProblem(problem, "body"), problem);
  assert.equal(upstreamProblem("hunter2", "body").code, "internal_error");
});
