import { Secret } from "../base/secret.ts";

/** How an OAuth client proves itself at a token endpoint (RFC 6749 §2.3.1). */
export type ClientAuthMethod = "client_secret_basic" | "client_secret_post";

/** A token request with its client's secret on it, and what must not come back in the answer. */
export interface AuthenticatedClient {
  readonly headers: readonly (readonly [string, string])[];
  readonly body: string;
  readonly sensitive: readonly Secret[];
}

/**
 * Puts a client's secret on a token request, in the frame that sends it.
 *
 * @param client.secret - Absent for a public client, which only says its name.
 */
export function authenticateClient(
  form: URLSearchParams,
  client: { readonly id: string; readonly secret: Secret | undefined; readonly method: ClientAuthMethod },
): AuthenticatedClient {
  const body = new URLSearchParams(form);
  const { id, secret, method } = client;
  if (secret === undefined || method === "client_secret_post") body.set("client_id", id);
  if (secret === undefined) return { headers: [], body: body.toString(), sensitive: [] };
  const text = secret.reveal();
  if (method === "client_secret_post") {
    body.set("client_secret", text);
    return { headers: [], body: body.toString(), sensitive: [secret] };
  }
  const pair = `${formEncoded(id)}:${formEncoded(text)}`;
  const value = `Basic ${Buffer.from(pair, "utf8").toString("base64")}`;
  return { headers: [["authorization", value]], body: body.toString(), sensitive: [secret, new Secret(pair)] };
}

/** RFC 6749 appendix B: both halves are encoded as a form is, before they are joined. */
function formEncoded(text: string): string {
  return new URLSearchParams([["", text]]).toString().slice(1);
}
