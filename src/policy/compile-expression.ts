import { Environment, EvaluationError } from "@marcbachmann/cel-js";
import { RE2JS, RE2JSSyntaxException } from "re2js";
import { type CelProblem, type CelReview, LINEAR_MATCHES, reviewCel } from "./cel-review.ts";
import type { CelSize } from "./cel-values.ts";
import { CEL_FIELDS, type CelContext, NowView, OperationView, PrincipalView, RequestView } from "./cel-views.ts";
import { createZoneClock, type ZoneClock } from "./zone-clock.ts";

/** A `when`, type-checked. */
export interface Expression {
  readonly text: string;
  readonly review: CelReview;
  /**
   * @returns What the expression says.
   * @throws When it fails or says something that is not a boolean; the rule that holds it then denies.
   */
  evaluate(context: CelContext): boolean;
}

export type CompileExpression = (text: string) => { ok: true; expression: Expression } | ({ ok: false } & CelProblem);

/** Length of one expression, in UTF-16 units. */
export const MAX_EXPRESSION_LENGTH = 4_096;
/** Nodes of one expression's tree. */
export const MAX_EXPRESSION_NODES = 500;
/** Units of work that one decision may spend on expressions, each about 100 ns: see {@link celWork}. */
export const MAX_CEL_WORK = 1_000_000;
const LOOP_STEP_WORK = 30;

/**
 * Makes the compiler of one snapshot: the variables and their types, regular expressions and zones ready before a call.
 *
 * @returns A function that never throws; its fault is one clause and a remedy.
 */
export function createExpressionCompiler(): CompileExpression {
  const patterns = new Map<string, RE2JS>();
  const zones = new Map<string, ZoneClock>();
  const environment = createEnvironment(patterns, zones);

  return (text) => {
    if (text.length > MAX_EXPRESSION_LENGTH) {
      return refused(`longer than ${MAX_EXPRESSION_LENGTH} characters`, "Split it into several policies.");
    }
    try {
      const run = environment.parse(text);
      const review = reviewCel(run.ast);
      const [first] = [...review.problems, ...prepare(review, patterns, zones)];
      if (first !== undefined) return { ok: false, ...first };
      const check = run.check();
      if (!check.valid)
        return refused(clause(check.error), "Correct the expression; docs/rules.md lists what it can name.");
      if (check.type !== "bool" && check.type !== "dyn") {
        return refused(`gives ${check.type}, not true or false`, "Compare it with something.");
      }
      const evaluate = (context: CelContext): boolean => {
        const answer = withoutStacks(() => run({ ...context }));
        if (typeof answer !== "boolean") throw new EvaluationError("the answer is neither true nor false");
        return answer;
      };
      return { ok: true, expression: { text, review, evaluate } };
    } catch (error) {
      return refused(clause(error), "Correct the expression; docs/rules.md lists what it can name.");
    }
  };
}

/**
 * Bounds the time that an expression can take on a body, in units of about 100 ns.
 *
 * Loops do not nest and read nothing large but their own variable, so the work is at most
 * steps + loop steps × values + scans × characters. A step of a loop is charged as if it failed: the engine goes on
 * with the next value, and making an error is what costs most.
 */
export function celWork(review: CelReview, size: CelSize): number {
  const { steps, loopSteps, scans, patternScans } = review.work;
  return (
    steps + loopSteps * LOOP_STEP_WORK * size.values + (scans * size.characters) / 20 + patternScans * size.characters
  );
}

/** Errors inside a loop are many, and nobody reads where in the engine they were made: their stacks cost most of them. */
function withoutStacks(run: () => unknown): unknown {
  const { stackTraceLimit } = Error;
  Error.stackTraceLimit = 0;
  try {
    return run();
  } finally {
    Error.stackTraceLimit = stackTraceLimit;
  }
}

function createEnvironment(patterns: ReadonlyMap<string, RE2JS>, zones: ReadonlyMap<string, ZoneClock>): Environment {
  const views = { principal: PrincipalView, operation: OperationView, request: RequestView, now: NowView };
  const environment = new Environment({
    limits: { maxAstNodes: MAX_EXPRESSION_NODES, maxDepth: 32, maxListElements: 200, maxMapEntries: 200 },
  });
  for (const [name, fields] of Object.entries(CEL_FIELDS)) {
    const type = `doorward.${name}`;
    environment.registerType(type, { ctor: views[name as keyof typeof views], fields });
    environment.registerVariable(name, type);
  }
  environment.registerFunction(
    "doorward.now.at(string): doorward.now",
    (now: NowView, zone: string) => {
      const clock = zones.get(zone);
      if (clock === undefined) throw new EvaluationError("unknown zone");
      return new NowView(now.timestamp, clock);
    },
    { async: false },
  );
  environment.registerFunction(
    `string.${LINEAR_MATCHES}(string): bool`,
    (text: string, pattern: string) => {
      const compiled = patterns.get(pattern);
      if (compiled === undefined) throw new EvaluationError("unknown pattern");
      return compiled.test(text);
    },
    { async: false },
  );
  return environment;
}

function prepare(review: CelReview, patterns: Map<string, RE2JS>, zones: Map<string, ZoneClock>): CelProblem[] {
  const problems: CelProblem[] = [];
  for (const pattern of review.patterns) {
    try {
      patterns.set(pattern, RE2JS.compile(pattern));
    } catch (error) {
      if (!(error instanceof RE2JSSyntaxException)) throw error;
      problems.push({
        problem: `\`${pattern}\` is not a pattern that runs in linear time`,
        remedy: "Write it in RE2 syntax, without look-around and back-references.",
      });
    }
  }
  for (const zone of review.zones) {
    const clock = createZoneClock(zone);
    if (clock !== undefined) zones.set(zone, clock);
    else problems.push({ problem: `\`${zone}\` is not a time zone`, remedy: "Write a name such as `Europe/Berlin`." });
  }
  return problems;
}

function refused(problem: string, remedy: string): { ok: false } & CelProblem {
  return { ok: false, problem, remedy };
}

/** The engine's message without its drawing of the source. */
function clause(error: unknown): string {
  const text = error instanceof Error ? (error.message.split("\n", 1)[0] ?? "") : String(error);
  return `${text.slice(0, 1).toLowerCase()}${text.slice(1)}`.slice(0, 300);
}
