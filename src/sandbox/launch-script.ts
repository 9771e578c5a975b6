import { BRIDGE_PORT, INSIDE, PERL } from "./places.ts";

/** What the script does before the program runs. */
export interface LaunchSteps {
  /** Limit on the data of each process; `undefined` where a group holds it. */
  readonly dataBytes: number | undefined;
  /** Limit on processes and threads of this user in this namespace; `undefined` where a group holds it. */
  readonly tasks: number | undefined;
  /** Whether the bridge to the egress proxy is started before the program, or beside one that waits for it itself. */
  readonly bridge: "before" | "beside" | "none";
  /** What runs the bridge; Node when absent. */
  readonly runner?: keyof typeof RUNNERS;
  /** `default`: the terminal's signals, which were ignored around it, end the program again. */
  readonly signals?: "default";
}

/** Status with which a launch that failed before the program ran ends. */
const FAILED = 125;

/**
 * The shell script that becomes the program: sets limits, opens the way to the proxy, says so on descriptor 3, and
 * replaces itself, so that the program has the very descriptors, session and parent that the sandbox made.
 *
 * `sh` rather than Node: it starts in a millisecond. Its parameters are the program and its arguments.
 */
export function launchScript(steps: LaunchSteps): string {
  const lines = [`ulimit -c 0 || exit ${FAILED}`];
  if (steps.dataBytes !== undefined) lines.push(`ulimit -d ${Math.floor(steps.dataBytes / 1024)} || exit ${FAILED}`);
  // The option's letter differs between shells.
  if (steps.tasks !== undefined)
    lines.push(`ulimit -p ${steps.tasks} 2>/dev/null || ulimit -u ${steps.tasks} || exit ${FAILED}`);
  const bridge = `/usr/bin/env -i ${RUNNERS[steps.runner ?? "node"]} ${INSIDE.bridge} ${BRIDGE_PORT} ${INSIDE.proxySocket}`;
  if (steps.bridge === "before") lines.push(...before(bridge));
  if (steps.bridge === "beside") lines.push(`{ exec 3>&-; exec ${bridge} >/dev/null; } &`);
  return [
    ...lines,
    "echo started >&3",
    "exec 3>&-",
    ...(steps.signals === undefined ? [] : [DEFAULT_SIGNALS]),
    'exec "$@"',
  ].join("\n");
}

/** What runs each of the bridges. */
const RUNNERS = { node: INSIDE.node, perl: `${PERL} -f` } as const;

/** The substitution ends when the bridge closes its output: that is when it listens. */
function before(bridge: string): readonly string[] {
  return [
    `said=$(exec 3>&-; ${bridge} &)`,
    `[ "$said" = ready ] || { echo 'the way to the egress proxy could not be opened' >&2; exit ${FAILED}; }`,
  ];
}

/** A shell cannot set what was ignored when it began. A command with `=` in its name would be a variable. */
const DEFAULT_SIGNALS = `case "$1" in *=*) ;; *) exec /usr/bin/env --default-signal=INT,QUIT "$@" ;; esac`;

/**
 * Becomes the rest, with the terminal's signals ignored: bubblewrap, which has the same terminal as its program, would end
 * by them, and the program with it.
 */
export const IGNORE_SIGNALS = `trap '' INT QUIT\nexec "$@"`;

/** Enters groups (parameters up to `--`), then becomes the rest. */
export const ENTER_GROUPS = [
  `while [ "$1" != -- ]; do echo 0 >"$1" || exit ${FAILED}; shift; done`,
  "shift",
  'exec "$@"',
].join("\n");
