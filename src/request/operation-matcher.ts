import type { PathSegment } from "./canonical-path.ts";
import type { PathPattern, PatternStep } from "./path-pattern.ts";

/** Finds what a request matches among many patterns. */
export interface OperationMatcher<Operation> {
  /**
   * All that match, in the order in which they were given; an operation with several matching patterns stands once,
   * with the parameters of the first.
   */
  match(request: {
    readonly method: string;
    readonly segments: readonly PathSegment[];
  }): readonly OperationMatch<Operation>[];
}

export interface OperationMatch<Operation> {
  readonly operation: Operation;
  /** Decoded; what `{name...}` took is joined by `/`. */
  readonly params: ReadonlyMap<string, string>;
}

interface Endpoint<Operation> {
  readonly pattern: PathPattern;
  readonly operation: Operation;
  readonly order: number;
}

type ByMethod<Operation> = Map<string, Endpoint<Operation>[]>;

/** One position in the paths of all patterns. */
interface Node<Operation> {
  readonly literals: Map<string, Node<Operation>>;
  one: Node<Operation> | undefined;
  encoded: Node<Operation> | undefined;
  readonly ends: ByMethod<Operation>;
  readonly rests: ByMethod<Operation>;
}

/**
 * Compiles patterns into a tree over segments, so that matching is linear in the path however many patterns there are
 * beside those that share its beginning.
 */
export function createOperationMatcher<Operation>(
  endpoints: readonly { readonly pattern: PathPattern; readonly operation: Operation }[],
): OperationMatcher<Operation> {
  const root = createNode<Operation>();
  for (const [order, { pattern, operation }] of endpoints.entries()) insert(root, { pattern, operation, order });
  return {
    match({ method, segments }) {
      const found: Endpoint<Operation>[] = [];
      collect(root, { method, segments, found }, 0);
      const [only] = found;
      if (only !== undefined && found.length === 1) {
        return [{ operation: only.operation, params: readParams(only.pattern.steps, segments) }];
      }
      found.sort((a, b) => a.order - b.order);
      const matches = new Map<Operation, OperationMatch<Operation>>();
      for (const { pattern, operation } of found) {
        if (!matches.has(operation)) matches.set(operation, { operation, params: readParams(pattern.steps, segments) });
      }
      return [...matches.values()];
    },
  };
}

function createNode<Operation>(): Node<Operation> {
  return { literals: new Map(), one: undefined, encoded: undefined, ends: new Map(), rests: new Map() };
}

function insert<Operation>(root: Node<Operation>, endpoint: Endpoint<Operation>): void {
  let node = root;
  for (const step of endpoint.pattern.steps) {
    if (step.kind === "rest") {
      add(node.rests, endpoint);
      return;
    }
    node = next(node, step);
  }
  add(node.ends, endpoint);
}

function next<Operation>(node: Node<Operation>, step: Exclude<PatternStep, { kind: "rest" }>): Node<Operation> {
  if (step.kind === "one") {
    const kind = step.encoded ? "encoded" : "one";
    node[kind] ??= createNode();
    return node[kind];
  }
  const known = node.literals.get(step.text);
  if (known !== undefined) return known;
  const made = createNode<Operation>();
  node.literals.set(step.text, made);
  return made;
}

function add<Operation>(methods: ByMethod<Operation>, endpoint: Endpoint<Operation>): void {
  const known = methods.get(endpoint.pattern.method);
  if (known === undefined) methods.set(endpoint.pattern.method, [endpoint]);
  else known.push(endpoint);
}

interface Search<Operation> {
  readonly method: string;
  readonly segments: readonly PathSegment[];
  readonly found: Endpoint<Operation>[];
}

/** Every node of the tree is visited at most once, as there is one way to each. */
function collect<Operation>(node: Node<Operation>, search: Search<Operation>, at: number): void {
  const segment = search.segments[at];
  if (segment === undefined) {
    take(node.ends, search);
    return;
  }
  if (node.rests.size > 0 && search.segments.every(({ encoded }, index) => index < at || !encoded))
    take(node.rests, search);
  if (node.encoded !== undefined && segment.text !== "") collect(node.encoded, search, at + 1);
  if (segment.encoded) return;
  const literal = node.literals.get(segment.text);
  if (literal !== undefined) collect(literal, search, at + 1);
  if (node.one !== undefined && segment.text !== "") collect(node.one, search, at + 1);
}

const NONE: readonly never[] = [];

function take<Operation>(methods: ByMethod<Operation>, { method, found }: Search<Operation>): void {
  if (methods.size === 0) return;
  for (const endpoint of methods.get(method) ?? NONE) found.push(endpoint);
  for (const endpoint of methods.get("*") ?? NONE) found.push(endpoint);
}

function readParams(steps: readonly PatternStep[], segments: readonly PathSegment[]): ReadonlyMap<string, string> {
  const params = new Map<string, string>();
  for (const [index, step] of steps.entries()) {
    if (step.kind === "one") params.set(step.name, segments[index]?.text ?? "");
    else if (step.kind === "rest") {
      params.set(
        step.name,
        segments
          .slice(index)
          .map(({ text }) => text)
          .join("/"),
      );
    }
  }
  return params;
}
