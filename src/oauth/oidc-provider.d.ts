/**
 * The part of oidc-provider that Doorward uses; the package itself has no types.
 */
declare module "oidc-provider" {
  import type { IncomingMessage, ServerResponse } from "node:http";

  /** What an adapter stores: JSON, in the package's own (camelCase) field names. */
  export type Payload = { [field: string]: unknown };

  export interface Adapter {
    upsert(id: string, payload: Payload, expiresIn: number | undefined): Promise<void>;
    find(id: string): Promise<Payload | undefined>;
    findByUserCode(userCode: string): Promise<Payload | undefined>;
    findByUid(uid: string): Promise<Payload | undefined>;
    consume(id: string): Promise<void>;
    destroy(id: string): Promise<void>;
    revokeByGrantId(grantId: string): Promise<void>;
  }

  export interface Client {
    readonly clientId: string;
    readonly clientName?: string;
    readonly clientUri?: string;
    readonly clientSecret?: string;
    readonly clientAuthMethod: string;
    readonly applicationType: string;
    readonly redirectUris: readonly string[];
    readonly dpopBoundAccessTokens?: boolean;
    readonly tlsClientCertificateBoundAccessTokens?: boolean;
    grantTypeAllowed(type: string): boolean;
    compareClientSecret(actual: string): boolean;
    metadata(): Payload;
  }

  export interface Token {
    jti: string;
    kind: string;
    clientId: string;
    accountId?: string;
    grantId?: string;
    scope?: string | undefined;
    aud?: string;
    exp?: number;
    iat?: number;
    jkt?: string;
    gty?: string;
    extra?: Payload;
    resource?: string | string[];
    rar?: readonly unknown[] | undefined;
    expiresIn?: number;
    readonly expiration: number;
    readonly tokenType: string;
    resourceServer: ResourceServer;
    setThumbprint(property: "x5t" | "jkt", input: string): void;
    save(): Promise<string>;
    destroy(): Promise<void>;
  }

  interface ResourceServer {
    readonly audience?: string;
  }

  interface TokenClass {
    new (fields: Payload): Token;
    prototype: { generateTokenId(): string };
    find(value: string, options?: { ignoreExpiration?: boolean }): Promise<Token | undefined>;
  }

  interface GrantInstance {
    addResourceScope(resource: string, scope: string): void;
    addRar(detail: unknown): void;
    save(): Promise<string>;
  }

  export interface Interaction {
    readonly uid: string;
    readonly returnTo: string;
    readonly prompt: { readonly name: string };
    readonly params: Payload;
    readonly deviceCode?: string;
    readonly exp: number;
    readonly session?: { readonly accountId?: string };
  }

  /** The Koa context of a request, with the package's own part. */
  export interface Context {
    readonly req: IncomingMessage;
    readonly res: ServerResponse;
    readonly path: string;
    readonly method: string;
    readonly ip: string;
    status: number;
    body: unknown;
    type: string;
    readonly state: Payload;
    get(name: string): string;
    set(name: string, value: string): void;
    readonly response: { get(name: string): string };
    readonly oidc: {
      readonly route: string;
      readonly provider: Provider;
      readonly params?: { [name: string]: string | undefined };
      readonly grant?: { readonly rar?: readonly unknown[] };
      readonly client?: Client;
      readonly entities: { readonly [kind: string]: Token | undefined };
      readonly result?: { readonly login?: Payload; readonly consent?: Payload };
      readonly session?: { readonly accountId?: string };
      readonly body?: Payload;
      entity(kind: string, value: unknown): void;
    };
  }

  export interface ProviderError extends Error {
    readonly error?: string;
    readonly error_description?: string;
    readonly error_detail?: string;
    readonly statusCode?: number;
  }

  export class Provider {
    constructor(issuer: string, configuration: Payload);
    readonly issuer: string;
    callback(): (request: IncomingMessage, response: ServerResponse) => Promise<void>;
    use(middleware: (ctx: Context, next: () => Promise<void>) => Promise<void>): this;
    on(event: string, listener: (ctx: Context, error: ProviderError) => void): this;
    interactionDetails(request: IncomingMessage, response: ServerResponse): Promise<Interaction>;
    interactionFinished(
      request: IncomingMessage,
      response: ServerResponse,
      result: Payload,
      options?: { mergeWithLastSubmission?: boolean },
    ): Promise<void>;
    registerGrantType(
      name: string,
      handler: (ctx: Context) => Promise<void>,
      parameters: readonly string[],
      duplicates?: readonly string[],
    ): void;
    urlFor(route: string): string;
    readonly Client: { find(id: string): Promise<Client | undefined>; prototype: Client };
    readonly Grant: { new (fields: { accountId: string; clientId: string }): GrantInstance };
    readonly AccessToken: TokenClass;
    readonly ClientCredentials: TokenClass;
    readonly AuthorizationCode: TokenClass;
    readonly DeviceCode: TokenClass;
    readonly RefreshToken: TokenClass;
    /** @param exp - Seconds since 1970, until when a use is remembered. @returns Whether it is the first one. */
    readonly ReplayDetection: { unique(iss: string, jti: string, exp: number): Promise<boolean> };
    readonly ResourceServer: new (
      identifier: string,
      info: Payload,
    ) => ResourceServer;
  }

  interface ErrorClass {
    new (description?: string, detail?: string): Error;
  }

  export const errors: {
    readonly InvalidGrant: ErrorClass;
    readonly InvalidRequest: ErrorClass;
    readonly InvalidAuthorizationDetails: ErrorClass;
    readonly InvalidScope: ErrorClass;
    readonly InvalidTarget: ErrorClass;
    readonly InvalidToken: ErrorClass;
    readonly InvalidClientMetadata: ErrorClass;
    readonly CustomOIDCProviderError: ErrorClass;
  };

  interface PromptList {
    clear(): void;
    add(prompt: unknown): void;
  }

  export const interactionPolicy: {
    readonly Prompt: new (options: { name: string; requestable: boolean }, ...checks: unknown[]) => unknown;
    readonly Check: new (
      reason: string,
      description: string,
      error: string,
      check: (ctx: Context) => boolean,
    ) => unknown;
    base(): PromptList;
  };
}

/** Where the package keeps what its own grants verify proofs with; its documentation imports it from here too. */
declare module "oidc-provider/lib/helpers/validate_dpop.js" {
  import type { Context, Provider } from "oidc-provider";

  interface Proof {
    readonly thumbprint: string;
    readonly jti: string;
  }

  // biome-ignore lint/style/noDefaultExport: it is what the package has.
  export default function validateDpop(provider: Provider, ctx: Context): Promise<Proof | undefined>;
  export function checkDpopReplay(provider: Provider, ctx: Context, proof: Proof, clientId: string): Promise<void>;
}
