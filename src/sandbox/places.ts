/** Where Doorward's own things stand inside a sandbox. */
export const INSIDE = {
  /** The folder of all of them, read-only. */
  own: "/run/doorward",
  /** First in PATH, so that `node` is the one that Doorward runs with. */
  bin: "/run/doorward/bin",
  node: "/run/doorward/bin/node",
  bridge: "/run/doorward/bridge",
  wait: "/run/doorward/wait.cjs",
  proxySocket: "/run/doorward/proxy.sock",
  proxyCa: "/run/doorward/ca.pem",
  /** Home, working folder and scratch: the one place that may be written without being declared. */
  scratch: "/tmp",
} as const;

/** The system's perl, outside and inside: `/usr` is the same. */
export const PERL = "/usr/bin/perl";
/** Port of the bridge to the egress proxy, on the loopback of the sandbox's own network. */
export const BRIDGE_PORT = 3128;
/** Who the child is inside: `nobody`. */
export const NOBODY_ID = 65_534;
/** Size of `/tmp` and of `/dev/shm`; they are memory. */
export const SCRATCH_BYTES = 128 * 1024 * 1024;
