import assert from "node:assert/strict";
import { test } from "node:test";
import { Problem } from "../base/problem.ts";
import type { AnswerSink } from "./answer.ts";
import { collectWhole } from "./collect-whole.ts";
import type { OutboundRequest } from "./outbound-request.ts";

const REQUEST = {} as OutboundRequest;

/** A way out that answers by a script, and what it was ended with. */
function scripted(answer: (sink: AnswerSink) => void) {
  const aborted: Problem[] = [];
  return {
    aborted,
    send(_: OutboundRequest, sink: AnswerSink) {
      const abort = (problem: Problem) => {
        aborted.push(problem);
        sink.fail(problem);
      };
      queueMicrotask(() => answer(sink));
      return { redacted: 0, resume() {}, abort };
    },
  };
}

test("head and body come together", async () => {
  const egress = scripted((sink) => {
    sink.head({ status: 201, headers: [["x", "1"]] });
    for (const part of ["a", "b"]) assert.equal(sink.data(Buffer.from(part)), true);
    sink.end();
  });
  const { status, headers, body } = await collectWhole(egress, REQUEST);
  assert.deepEqual([status, headers, body.toString()], [201, [["x", "1"]], "ab"]);
});

test("a failure is the caller's, before the head and after it", async () => {
  const cut = new Problem("upstream_too_large");
  await assert.rejects(
    collectWhole(
      scripted((sink) => sink.fail(cut)),
      REQUEST,
    ),
    cut,
  );
  const late = scripted((sink) => {
    sink.head({ status: 200, headers: [] });
    sink.data(Buffer.from("a"));
    sink.fail(cut);
  });
  await assert.rejects(collectWhole(late, REQUEST), cut);
});

test("what the judge does not like is not read", async () => {
  const refused = new Problem("upstream_invalid");
  const egress = scripted((sink) => sink.head({ status: 404, headers: [] }));
  const judge = ({ status }: { readonly status: number }) => (status === 200 ? undefined : refused);
  await assert.rejects(collectWhole(egress, REQUEST, judge), refused);
  assert.deepEqual(egress.aborted, [refused]);
});
