/** What a service lets a request look like, and through which door it comes. */
export interface RequestForm {
  readonly service: string;
  /** `api` and `egress` drop headers that may not pass, as every SDK sends some; `mcp` refuses them, as the agent chose each. */
  readonly door: "api" | "mcp" | "egress";
  /** Lower case; may pass on top of the default list. */
  readonly allowHeaders: ReadonlySet<string>;
  /** Lower-case names; the owner's values, which stand in place of the agent's. */
  readonly setHeaders: ReadonlyMap<string, string>;
  /**
   * Whether it is the request of a program that an owner chose, not of an agent: then headers pass that nobody listed, the
   * program's `Authorization` among them. Those that name somebody or override something do not.
   */
  readonly program?: boolean;
  /** Whether `Range` may pass: two ranges can reassemble what a scrubber took out. */
  readonly ranges: boolean;
  readonly requestBytes: number;
  /** Where the service's credential goes: names that an agent may not set itself. The header is in lower case. */
  readonly credential: { readonly header?: string; readonly query?: string };
}
