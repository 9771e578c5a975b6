import type { ASTNode } from "@marcbachmann/cel-js";
import { nearest } from "../config/nearest.ts";
import { CEL_FIELDS } from "./cel-views.ts";

/** What an expression looks at, and how much work it can be. */
export interface CelReview {
  readonly problems: readonly CelProblem[];
  /** Whether it reads anything of the request, so that its answer cannot be known before there is one. */
  readonly readsRequest: boolean;
  /** The first-level names it reads; `all` when it takes the whole or computes the name. */
  readonly reads: { readonly query: Names; readonly body: Names };
  readonly work: CelWork;
  /** The literals given to `matches`. */
  readonly patterns: ReadonlySet<string>;
  /** The literals given to `now.at`. */
  readonly zones: ReadonlySet<string>;
}

export type Names = "all" | ReadonlySet<string>;

/** Counts from which {@link celWork} bounds the time of an evaluation. */
export interface CelWork {
  /** Operators, calls and literals outside of loops. */
  readonly steps: number;
  /** The same inside the bodies of `all`, `exists`, `map` and `filter`: each may run once for each value of the body. */
  readonly loopSteps: number;
  /** Calls and comparisons, each of which may look at every character of the body. */
  readonly scans: number;
  /** Regular expressions, each of which costs far more for each character. */
  readonly patternScans: number;
}

export interface CelProblem {
  readonly problem: string;
  readonly remedy: string;
}

/** The linear-time replacement of the engine's own `matches`, which backtracks. */
export const LINEAR_MATCHES = "matchesLinear";

const LOOPS = new Set(["all", "exists", "exists_one", "map", "filter"]);
const TYPE_NAMES = new Set(["string", "bool", "int", "uint", "double", "bytes", "list", "map", "null_type", "type"]);
const BINARY = new Set(["||", "&&", "==", "!=", "<", "<=", ">", ">=", "in", "+", "-", "*", "/", "%"]);
const CHEAP = new Set(["||", "&&", "<", "<=", ">", ">=", "-", "*", "/", "%"]);
/** What the step of a loop may read beside its own variable: small, so that loop × size stays bounded. */
const SMALL_REQUEST_FIELDS = new Set(["method", "path", "params", "tool", "size"]);

/**
 * Walks a parsed expression before it is type-checked: names, bounds, and calls that this place does not allow.
 *
 * Rewrites `matches` to its linear form, in place.
 */
export function reviewCel(ast: ASTNode): CelReview {
  const review = new Reviewer();
  review.visit(ast);
  return {
    problems: review.problems,
    readsRequest: review.readsRequest,
    reads: review.reads,
    work: review.work,
    patterns: review.patterns,
    zones: review.zones,
  };
}

/** One walk; a class because every case adds to the same findings. */
class Reviewer {
  readonly problems: CelProblem[] = [];
  readonly reads: { query: Names; body: Names } = { query: new Set(), body: new Set() };
  readonly work = { steps: 0, loopSteps: 0, scans: 0, patternScans: 0 };
  readonly patterns = new Set<string>();
  readonly zones = new Set<string>();
  readsRequest = false;
  /** Loop variables in scope; loops do not nest, so one at most. */
  readonly #loopVariables: string[] = [];
  #sums = 0;

  visit(node: ASTNode): void {
    this.work[this.#loopVariables.length > 0 ? "loopSteps" : "steps"] += 1;
    if (BINARY.has(node.op)) {
      if (node.op === "+") this.#sums += 1;
      if (!CHEAP.has(node.op)) this.work.scans += 1;
      for (const child of node.args as ASTNode[]) this.visit(child);
      return;
    }
    switch (node.op) {
      case "value":
        return;
      case "id":
        this.#visitName(node.args);
        return;
      case ".":
      case "[]":
      case ".?":
      case "[?]":
        this.#visitAccess(node.args as [ASTNode, ASTNode | string], node.op);
        return;
      case "call":
        this.#visitCall(...node.args);
        return;
      case "rcall":
        this.#visitMethod(node.args);
        return;
      case "map":
        for (const [key, value] of node.args) {
          this.visit(key);
          this.visit(value);
        }
        return;
      case "list":
      case "?:":
        for (const child of node.args) this.visit(child);
        return;
      case "!_":
      case "-_":
        this.visit(node.args);
        return;
      default:
        this.#refuse(`\`${node.op}\` is not understood here`, "Write the condition without it.");
    }
  }

  #visitName(name: string): void {
    if (this.#loopVariables.includes(name) || TYPE_NAMES.has(name)) return;
    if (name === "history") {
      this.#refuse("`history` is not built yet", "Remove the part that uses `history`.");
      return;
    }
    if (Object.hasOwn(CEL_FIELDS, name)) {
      const fields = Object.keys(CEL_FIELDS[name as keyof typeof CEL_FIELDS]);
      this.#refuse(
        `\`${name}\` is not a value by itself`,
        `Write one of its fields, such as \`${name}.${fields[0]}\`.`,
      );
      return;
    }
    const near = nearest(name, Object.keys(CEL_FIELDS));
    this.#refuse(
      `unknown variable \`${name}\``,
      near === undefined ? `Use ${Object.keys(CEL_FIELDS).join(", ")}.` : `Write \`${near}\`.`,
    );
  }

  #visitAccess([base, member]: [ASTNode, ASTNode | string], op: string): void {
    const key = typeof member === "string" ? member : literalText(member);
    if (typeof member !== "string") this.visit(member);
    const root = this.#rootOf(base);
    if (root !== undefined) {
      if (op === ".") {
        this.#readField(root, key ?? "");
        return;
      }
      this.#refuse(`\`${root}\` cannot be indexed`, `Write \`${root}.NAME\`.`);
      return;
    }
    if (base.op === "." && this.#rootOf(base.args[0]) === "request") {
      const field = base.args[1];
      if (field === "query" || field === "body" || field === "arguments") {
        this.#readField("request", field, key);
        return;
      }
    }
    this.visit(base);
  }

  #rootOf(node: ASTNode): keyof typeof CEL_FIELDS | undefined {
    if (node.op !== "id" || this.#loopVariables.includes(node.args)) return undefined;
    return Object.hasOwn(CEL_FIELDS, node.args) ? (node.args as keyof typeof CEL_FIELDS) : undefined;
  }

  #readField(root: keyof typeof CEL_FIELDS, field: string, key?: string): void {
    const fields = Object.keys(CEL_FIELDS[root]);
    if (!fields.includes(field)) {
      const near = nearest(field, fields);
      const remedy = near === undefined ? `\`${root}\` has ${fields.join(", ")}.` : `Write \`${root}.${near}\`.`;
      this.#refuse(`unknown field \`${root}.${field}\``, remedy);
      return;
    }
    if (root !== "request") return;
    this.readsRequest = true;
    if (this.#loopVariables.length > 0 && !SMALL_REQUEST_FIELDS.has(field)) {
      this.#refuse(
        `\`request.${field}\` is read inside a loop, which could take very long`,
        "Inside all(), exists(), map() and filter() use the loop variable, literals, `request.params` or `principal`.",
      );
    }
    if (field === "query" || field === "body") this.#readName(field, key);
    // The arguments of an MCP call are its body.
    if (field === "arguments") this.#readName("body", key);
  }

  #readName(field: "query" | "body", key: string | undefined): void {
    const known = this.reads[field];
    this.reads[field] = key === undefined || known === "all" ? "all" : new Set([...known, key]);
  }

  #visitCall(name: string, args: readonly ASTNode[]): void {
    this.work.scans += 1;
    if (name === "duration" && literalText(args[0]) === undefined) {
      this.#refuse("`duration` needs a literal", 'Write it as `duration("15m")`.');
    }
    for (const arg of args) this.visit(arg);
  }

  #visitMethod(call: [string, ASTNode, ASTNode[]]): void {
    const [name, receiver, args] = call;
    this.work.scans += 1;
    if (name === "at" && this.#rootOf(receiver) === "now") {
      this.#visitZone(args);
      return;
    }
    if (LOOPS.has(name)) {
      this.#visitLoop(receiver, args);
      return;
    }
    if (name === "matches" || name === LINEAR_MATCHES) this.#visitPattern(call);
    if (name === "json" || name === "split") {
      this.#refuse(
        `\`${name}()\` is not available`,
        "Compare the text itself, with `contains`, `startsWith` or `matches`.",
      );
    }
    if (/^get[A-Z]/.test(name) && args.length > 0) {
      this.#refuse(`\`${name}\` takes no zone here`, 'Write `now.at("Europe/Berlin").hour`.');
    }
    this.visit(receiver);
    for (const arg of args) this.visit(arg);
  }

  #visitZone(args: readonly ASTNode[]): void {
    const zone = literalText(args[0]);
    if (zone === undefined) {
      this.#refuse("`now.at` needs a literal zone", 'Write `now.at("Europe/Berlin").hour`.');
      return;
    }
    this.zones.add(zone);
  }

  #visitPattern(call: [string, ASTNode, ASTNode[]]): void {
    const pattern = literalText(call[2][0]);
    if (pattern === undefined) {
      this.#refuse("`matches` needs a literal pattern", 'Write it as `matches("^prod-[0-9]+$")`.');
      return;
    }
    this.patterns.add(pattern);
    this.work.patternScans += 1;
    call[0] = LINEAR_MATCHES;
  }

  #visitLoop(receiver: ASTNode, args: readonly ASTNode[]): void {
    const [variable, ...steps] = args;
    const sums = this.#sums;
    this.visit(receiver);
    if (this.#sums > sums) {
      this.#refuse("a loop over a sum could take very long", "Write one loop for each list, joined by `&&` or `||`.");
    }
    if (this.#loopVariables.length > 0) {
      this.#refuse("a loop inside a loop could take very long", "Split it into several policies.");
      return;
    }
    if (variable?.op !== "id") return;
    if (Object.hasOwn(CEL_FIELDS, variable.args) || TYPE_NAMES.has(variable.args)) {
      this.#refuse(`\`${variable.args}\` cannot name a loop variable`, "Choose another name, such as `item`.");
      return;
    }
    this.#loopVariables.push(variable.args);
    for (const step of steps) this.visit(step);
    this.#loopVariables.pop();
  }

  #refuse(problem: string, remedy: string): void {
    this.problems.push({ problem, remedy });
  }
}

function literalText(node: ASTNode | undefined): string | undefined {
  return node?.op === "value" && typeof node.args === "string" ? node.args : undefined;
}
