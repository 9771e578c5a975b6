import type { JsonObject } from "../base/json.ts";
import type { PersonRole } from "./person-role.ts";

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
  readonly oauth: OAuthConfig;
  readonly services: ReadonlyMap<string, ServiceConfig>;
  readonly roles: ReadonlyMap<string, RoleConfig>;
  readonly agents: ReadonlyMap<string, AgentConfig>;
  readonly policies: readonly PolicyConfig[];
  /** Who else may vouch for agents: Kubernetes, CI systems. */
  readonly trustedIssuers?: ReadonlyMap<string, TrustedIssuerConfig>;
  /** Where people log in. Absent: with links and passkeys of our own. */
  readonly people?: PeopleConfig | undefined;
}

/** Somebody else who signs tokens (JWT), and where the keys are. */
export interface IssuerConfig {
  readonly name: string;
  /** `iss`, letter by letter. */
  readonly issuer: string;
  readonly jwks:
    | { readonly kind: "url"; readonly url: ServiceUrl }
    /** Absolute when the file's folder was known. */
    | { readonly kind: "file"; readonly path: string };
  /** Whether `jwks` is at a private address. */
  readonly private: boolean;
}

/** An issuer of tokens that prove agents by their claims. */
export interface TrustedIssuerConfig extends IssuerConfig {
  /** `aud`: one of these. */
  readonly audience: readonly string[];
  /** At least one. */
  readonly agents: readonly ClaimMapping[];
}

/** A token with these claims proves this agent. */
export interface ClaimMapping {
  readonly agent: string;
  /** By name, or by path with `/`; each must have one of its values. */
  readonly claims: ReadonlyMap<string, readonly string[]>;
}

/** The company's OpenID provider, and what its groups may do here. */
export interface PeopleConfig {
  /** As it names itself: compared letter by letter. */
  readonly issuer: string;
  readonly url: ServiceUrl;
  readonly clientId: string;
  /** A reference; absent for a public client. */
  readonly secret: string | undefined;
  /** The one origin that the secret goes to. */
  readonly tokenOrigin: string;
  /** May be at private or loopback addresses, and at those only. */
  readonly private: boolean;
  /** With `openid`. */
  readonly scopes: readonly string[];
  readonly groupsClaim: string;
  readonly roles: ReadonlyMap<string, PersonRole>;
}

export interface ServerConfig {
  readonly listen: ListenAddress;
  /** Without a trailing slash. Absent: the address that is listened on. */
  readonly publicUrl: string | undefined;
  /** Paths of PEM files; absolute when the file's folder was known to the parser. */
  readonly tls: ServerTlsConfig | undefined;
  /** CIDR blocks of the proxies that terminate TLS and may name the client's address. */
  readonly trustedProxies: readonly string[];
  /** Lower case: the header in which a trusted proxy names the client certificate that it verified. */
  readonly clientCertificateHeader?: string | undefined;
  /** Whether `/sse` and `/messages` are served too, the transport of 2024-11-05. */
  readonly legacySse: boolean;
}

/** The authorization server. */
export interface OAuthConfig {
  readonly accessTtlSeconds: number;
  readonly refreshTtlSeconds: number;
  /** Who may register a client. */
  readonly registration: "open" | "token" | "off";
  /** Whether a client id may be the URL of its metadata. */
  readonly clientDocuments: boolean;
  /** Who may vouch for a person to a client (ID-JAG), by name; absent: nobody, and nothing is said of it. */
  readonly assertionIssuers?: ReadonlyMap<string, IssuerConfig> | undefined;
}

/** Paths of PEM files. */
export interface ServerTlsConfig {
  readonly cert: string;
  readonly key: string;
  /** Who issues the certificates of clients; absent: none is asked for. */
  readonly clientCa: string | undefined;
  /** Certificates of clients that their issuer took back. */
  readonly clientCrl?: string | undefined;
}

/** A host (an IP address without brackets, or `localhost`) and a port; port 0 lets the system choose. */
export interface ListenAddress {
  readonly host: string;
  readonly port: number;
}

/** What agents may be let into: an HTTP API, or an MCP server. */
export type ServiceConfig = HttpServiceConfig | McpServiceConfig;

interface ServiceBase {
  readonly name: string;
  readonly description?: string | undefined;
  readonly environment?: string | undefined;
  readonly owner?: string | undefined;
  /** Absent: for every tenant that a rule lets in. */
  readonly tenant?: string | undefined;
  /** May resolve to private or loopback addresses, and to those only. */
  readonly private: boolean;
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

/** An HTTP API. */
export interface HttpServiceConfig extends ServiceBase {
  readonly kind: "http";
  readonly url: ServiceUrl;
  readonly credential: HttpCredentialConfig | undefined;
}

/** An MCP server: one that Doorward starts in a sandbox, or one that runs elsewhere. */
export interface McpServiceConfig extends ServiceBase {
  readonly kind: "mcp";
  readonly server: McpServerConfig;
  /** `env` for a server that is started; the others for one that is reached by its URL. */
  readonly credential: CredentialConfig | undefined;
}

export type McpServerConfig = StdioServerConfig | RemoteServerConfig;

/** An MCP server that Doorward starts and speaks to over its standard input and output. */
export interface StdioServerConfig {
  readonly transport: "stdio";
  /** A name in the path of programs or a path, absolute when the file's folder was known. */
  readonly command: string;
  /** May hold `{credential}`, which becomes the placeholder. */
  readonly args: readonly string[];
  /** Absolute when the file's folder was known. */
  readonly cwd: string | undefined;
  /** In the clear: no secret stands in it. */
  readonly env: ReadonlyMap<string, string>;
  readonly sandbox: SandboxConfig;
}

/** An MCP server that is reached over HTTP. */
export interface RemoteServerConfig {
  readonly transport: "http";
  /** `basePath` is the endpoint's whole path. */
  readonly url: ServiceUrl;
  /** Whether it speaks the HTTP+SSE transport of 2024-11-05. */
  readonly legacySse: boolean;
}

/** What a started server may reach and use. */
export interface SandboxConfig {
  readonly mode: "strict" | "degraded" | "off";
  /** Hosts beyond those of the credential. */
  readonly network: readonly HostPort[];
  /** Paths of files and folders outside; absolute when the file's folder was known. */
  readonly read: readonly string[];
  readonly write: readonly string[];
  readonly memoryBytes: number;
  /** In cores. */
  readonly cpu: number;
  readonly processes: number;
}

/** One place on the network. */
export interface HostPort {
  /** Lower case, ASCII (punycode); an IP address without brackets. */
  readonly host: string;
  readonly port: number;
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
  /**
   * `GET /domains/{domain}`; compiled by `request/`. On an MCP server that is started: what the server itself may
   * request over HTTP.
   */
  readonly allow: readonly string[];
  /** JSON Schema, or the shorthand of its properties; compiled by `request/`. */
  readonly query: JsonObject | undefined;
  readonly body: JsonObject | undefined;
  /** Globs over the names of an MCP server's tools and prompts, and over its resources' URIs. Empty: none. */
  readonly tools: readonly string[];
  readonly prompts: readonly string[];
  readonly resources: readonly string[];
  /** JSON Schema over the arguments of tools and prompts, or the shorthand of its properties. */
  readonly arguments: JsonObject | undefined;
  /** Whether `Range` may pass: two ranges can reassemble what a scrubber took out. */
  readonly ranges: boolean;
  readonly approval:
    | { readonly message: string | undefined; readonly preview: string | undefined; readonly expiresSeconds: number }
    | undefined;
}

/** How a secret becomes an authorisation on a request. `secret` is a reference such as `local:stripe`, never the value. */
export type CredentialConfig = HttpCredentialConfig | EnvCredentialConfig | OAuth2CredentialConfig;

/** A credential that is put on each request as it stands. */
export type HttpCredentialConfig =
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

/** A credential that a started server holds a placeholder for; it becomes the secret on the way to a declared host. */
export interface EnvCredentialConfig {
  readonly kind: "env";
  /** The variable that holds the placeholder. */
  readonly name: string;
  readonly secret: string;
  /** At least one: nowhere else does the placeholder become the secret. */
  readonly hosts: readonly HostPort[];
  /** Where in a request the placeholder may stand. */
  readonly place: "header" | "query" | "body";
  /** A path in the sandbox that holds the placeholder too. */
  readonly file: string | undefined;
}

/** A token that Doorward gets as an OAuth client. */
export interface OAuth2CredentialConfig {
  readonly kind: "oauth2";
  /** The client's secret; absent for a public client or one that registers itself. */
  readonly secret: string | undefined;
  readonly clientId: string | undefined;
  readonly grant: "authorization_code" | "client_credentials";
  /** Empty: those that the server's metadata name. */
  readonly scopes: readonly string[];
  /** Absent: found by the server's metadata. */
  readonly tokenEndpoint: string | undefined;
}

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
  /** URIs and subjects (RFC 4514) of client certificates. */
  readonly certificates?: readonly string[];
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
