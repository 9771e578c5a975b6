import { Problem } from "../base/problem.ts";

/** A sandbox that cannot be built as asked: it does not start. */
export function sandboxProblem(why: { readonly service: string; readonly detail: string; readonly remedy: string }) {
  return new Problem("upstream_unreachable", {
    detail: `the program of \`${why.service}\` was not started: ${why.detail}`,
    remedy: why.remedy,
  });
}
