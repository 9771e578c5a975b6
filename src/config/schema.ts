import type { JsonObject } from "../base/json.ts";

/**
 * What doorward.yaml says, parsed once: our names, units resolved, secrets by reference only.
 *
 * The file's own shape is `file-schema.ts`. Maps are `Map`s, so that `constructor` is a name like any other.
 * Order is the file's; nothing may depend on it.
 */
export interface Config {
  readonly version: 1;
  readonly server: ServerConfig;
  readonly store: { readonly url: string | undefined };
  readonly services: ReadonlyMap<string, ServiceConfig>;
  readonly roles: ReadonlyMap<string, RoleConfig>;
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly policies: readonly PolicyConfig[];
}

export interface ServerConfig {
  readonly listen: ListenAddress;
  /** Without a trailing slash. Absent: the address that is listened on. */
  readonly publicUrl: string | undefined;
  /** Paths of PEM files; absolute when the file's folder was known to the parser. */
  readonly tls: { readonly cert: string; readonly key: string; readonly clientCa: string | undefined } | undefined;
  /** CIDR blocks of the proxies that terminate TLS and may name the client's address. */
  readonly trustedProxies: readonly string[];
}

/** A host (an IP address without brackets, or `localhost`) and a port; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** An HTTP API that agents may be let into. */
export interface ServiceConfig {
  readonly name: string;
  readonly url: ServiceUrl;
  readonly description?: string | undefined;
  readonly environment?: string | undefined;
  readonly owner?: string | undefined;
  /** Absent: for every tenant that a rule lets in. */
  readonly tenant?: string | undefined;
  /** May resolve to private or loopback addresses, and to those only. */
  readonly private: boolean;
  readonly credential: CredentialConfig | undefined;
  readonly headers: {
    /** Lower case; beyond the default list. */
    readonly allow: readonly string[];
    /** Lower-case names. */
    readonly set: ReadonlyMap<string, string>;
  };
  readonly limits: {
    readonly timeoutMs: number;
    readonly requestBytes: number;
    readonly responseBytes: number;
    readonly rate: Rate | undefined;
  };
  /** Path of a PEM file with further roots for this service; absolute when the file's folder was known. */
  readonly tls: { readonly ca: string | undefined };
  readonly operations: ReadonlyMap<string, OperationConfig>;
}

/** Where a service is: requests cannot leave this origin and base path. */
export interface ServiceUrl {
  /** `https://host[:port]`, as a URL parser prints it; a default port is left out. */
  readonly origin: string;
  readonly protocol: "http:" | "https:";
  /** Lower case, ASCII (punycode); an IP address without brackets. */
  readonly host: string;
  readonly port: number;
  /** `""` or `/v1`: canonical, no trailing slash. */
  readonly basePath: string;
}

export type Effect = "read" | "write" | "destructive";

/** A named least-privilege surface of a service; its scope is `service:name`. */
export interface OperationConfig {
  readonly name: string;
  readonly effect: Effect;
  /** `GET /domains/{domain}`; compiled by `request/`. */
  readonly allow: readonly string[];
  /** JSON Schema, or the shorthand of its properties; compiled by `request/`. */
  readonly query: JsonObject | undefined;
  readonly body: JsonObject | undefined;
  /** Whether `Range` may pass: two ranges can reassemble what a scrubber took out. */
  readonly ranges: boolean;
  readonly approval:
    | { readonly message: string | undefined; readonly preview: string | undefined; readonly expiresSeconds: number }
    | undefined;
}

/** How a secret becomes an authorisation on a request. `secret` is a reference such as `local:stripe`, never the value. */
export type CredentialConfig =
  | { readonly kind: "bearer"; readonly secret: string }
  | { readonly kind: "basic"; readonly username: string; readonly secret: string }
  | {
      readonly kind: "header";
      /** Lower case. */
      readonly name: string;
      readonly secret: string;
      readonly prefix: string | undefined;
    }
  | { readonly kind: "query"; readonly name: string; readonly secret: string };

export interface RoleConfig {
  readonly name: string;
  /** Globs over scopes, `registrar:records:*`; `*` crosses colons. */
  readonly allow: readonly string[];
  readonly extends: readonly string[];
  readonly rate: Rate | undefined;
}

export interface AgentConfig {
  readonly name: string;
  readonly roles: readonly string[];
  readonly tenant?: string | undefined;
  readonly environment?: string | undefined;
  /** Empty: not restricted. */
  readonly purposes: readonly string[];
  /** CIDR blocks. Empty: any. */
  readonly networks: readonly string[];
  /** `Mon-Fri 08:00-19:00 Europe/Berlin`; compiled by `policy/`. */
  readonly hours: string | undefined;
  readonly expires: Date | undefined;
}

export interface PolicyConfig {
  readonly id: string;
  readonly effect: "permit" | "ask" | "forbid";
  /** Globs over scopes. */
  readonly on: readonly string[];
  /** CEL; compiled by `policy/`. */
  readonly when: string | undefined;
  /** Each list: empty means any. */
  readonly agents: readonly string[];
  readonly tenants: readonly string[];
  readonly environments: readonly string[];
  readonly purposes: readonly string[];
  readonly effects: readonly Effect[];
  readonly networks: readonly string[];
  readonly hours: string | undefined;
  readonly expires: Date | undefined;
  readonly rate: Rate | undefined;
  readonly approvers:
    | { readonly quorum: number; readonly expiresSeconds: number | undefined; readonly separate: boolean }
    | undefined;
}

/** `60/minute`: at most `count` calls in any `perSeconds` seconds. */
export interface Rate {
  readonly count: number;
  readonly perSeconds: number;
}

/** One thing to correct in the file, as `policy check` prints it. Lines and columns count from 1. */
export interface Finding {
  readonly line: number;
  readonly column: number;
  /** `services.stripe.operations.read.allow[0]`; `""` for the file as a whole. */
  readonly path: string;
  /** What is wrong: lower case, no full stop, never a secret. */
  readonly problem: string;
  /** What to write. */
  readonly remedy: string;
  /** A warning does not keep the file from loading. */
  readonly severity: "error" | "warning";
}

/** A semantic fault that a later folder found; {@link Locate} turns its path into a place in the file. */
export interface Fault {
  readonly path: ConfigPath;
  readonly problem: string;
  readonly remedy: string;
}

export type ConfigPath = readonly (string | number)[];

/** Where a path stands in the file; the nearest place that exists when it does not. Never throws. */
export type Locate = (path: ConfigPath) => { readonly line: number; readonly column: number };
