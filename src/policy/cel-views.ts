import type { Principal } from "../identity/principal.ts";
import { celMap } from "./cel-values.ts";
import type { RequestReader } from "./request-reader.ts";
import type { WallTime, ZoneClock } from "./zone-clock.ts";

/**
 * What an expression can name: the variables, their fields and types.
 *
 * One table, from which come the types of the engine, the review of expressions and the nearest name in a fault.
 * Fields that are absent on a call are errors when read; `has(principal.user)` asks first.
 */
export const CEL_FIELDS = {
  principal: {
    agent: "string",
    client: "string",
    user: "string",
    tenant: "string",
    environment: "string",
    purpose: "string",
    task: "string",
    ip: "string",
    roles: "list<string>",
  },
  operation: { service: "string", name: "string", scope: "string", effect: "string" },
  request: {
    method: "string",
    path: "string",
    params: "map<string, string>",
    query: "map<string, string>",
    queries: "map<string, dyn>",
    headers: "map<string, string>",
    body: "dyn",
    tool: "string",
    arguments: "dyn",
    size: "int",
  },
  now: {
    year: "int",
    month: "int",
    day: "int",
    hour: "int",
    minute: "int",
    second: "int",
    weekday: "int",
    date: "string",
    timestamp: "google.protobuf.Timestamp",
  },
} as const satisfies Record<string, Record<string, string>>;

/** The engine knows a value's type by its class, so each variable has one. Absent fields are `undefined`. */
export class PrincipalView {
  readonly agent: string;
  readonly client: string;
  readonly user: string | undefined;
  readonly tenant: string | undefined;
  readonly environment: string | undefined;
  readonly purpose: string | undefined;
  readonly task: string | undefined;
  readonly ip: string;
  readonly roles: readonly string[];

  constructor(principal: Principal, more: { readonly purpose: string | undefined; readonly roles: readonly string[] }) {
    this.agent = principal.agent;
    this.client = principal.client;
    this.user = principal.user;
    this.tenant = principal.tenant;
    this.environment = principal.environment;
    this.purpose = more.purpose;
    this.task = principal.task;
    this.ip = principal.ip;
    this.roles = more.roles;
  }
}

/** One operation that the request matches. */
export class OperationView {
  readonly service: string;
  readonly name: string;
  readonly scope: string;
  readonly effect: string;

  constructor(operation: { readonly service: string; readonly name: string; readonly effect: string }) {
    this.service = operation.service;
    this.name = operation.name;
    this.scope = `${operation.service}:${operation.name}`;
    this.effect = operation.effect;
  }
}

/** The request under one of the operations it matches. Maps and the body are made when first read: most rules read none. */
export class RequestView {
  readonly #reader: RequestReader;
  readonly #params: ReadonlyMap<string, string>;
  readonly method: string;
  readonly path: string;

  constructor(reader: RequestReader, params: ReadonlyMap<string, string>) {
    this.#reader = reader;
    this.#params = params;
    this.method = reader.request.method;
    this.path = reader.request.path;
  }

  get params(): ReadonlyMap<string, unknown> {
    return celMap(this.#params);
  }
  get query(): ReadonlyMap<string, unknown> {
    return this.#reader.query();
  }
  get queries(): ReadonlyMap<string, unknown> {
    return this.#reader.queries();
  }
  get headers(): ReadonlyMap<string, unknown> {
    return this.#reader.headers();
  }
  get body(): unknown {
    return this.#reader.body()?.value;
  }
  /** The MCP server's own name of the tool; empty for all else. */
  get tool(): string {
    const { mcp } = this.#reader.request;
    return mcp?.item === "tool" ? mcp.name : "";
  }
  /** Of an MCP call; its body by another name. */
  get arguments(): unknown {
    return this.#reader.request.mcp === undefined ? undefined : this.#reader.body()?.value;
  }
  get size(): bigint {
    return BigInt(this.#reader.request.body?.byteLength ?? 0);
  }
}

/** An instant on the clock of a zone, read when first asked for. */
export class NowView {
  readonly timestamp: Date;
  readonly #clock: ZoneClock;
  #wall: WallTime | undefined;

  constructor(timestamp: Date, clock: ZoneClock) {
    this.timestamp = timestamp;
    this.#clock = clock;
  }

  get year(): bigint {
    return BigInt(this.#read().year);
  }
  get month(): bigint {
    return BigInt(this.#read().month);
  }
  get day(): bigint {
    return BigInt(this.#read().day);
  }
  get hour(): bigint {
    return BigInt(this.#read().hour);
  }
  get minute(): bigint {
    return BigInt(this.#read().minute);
  }
  get second(): bigint {
    return BigInt(this.#read().second);
  }
  get weekday(): bigint {
    return BigInt(this.#read().weekday);
  }
  get date(): string {
    const { year, month, day } = this.#read();
    return [String(year).padStart(4, "0"), two(month), two(day)].join("-");
  }

  #read(): WallTime {
    this.#wall ??= this.#clock(this.timestamp);
    return this.#wall;
  }
}

/** Everything that one evaluation can see. */
export interface CelContext {
  readonly principal: PrincipalView;
  readonly operation: OperationView;
  readonly request: RequestView;
  readonly now: NowView;
}

function two(value: number): string {
  return String(value).padStart(2, "0");
}
