import { readFileSync } from "node:fs";
import type { Command } from "commander";
import type { JsonObject } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import { parseStrictJson } from "../base/strict-json.ts";
import { type Cli, collect, columns, optionsOf, seconds, show, withAdmin } from "./command-context.ts";

interface IssuedClient {
  readonly agent: string;
  readonly client_id: string;
  readonly client_secret?: string;
  readonly issuer: string;
  readonly token_endpoint: string;
}

interface ListedClient {
  readonly client_id: string;
  readonly kind: string;
  readonly agent: string | null;
  readonly name: string | null;
  readonly created_at: string;
  readonly revoked_at: string | null;
}

/** `doorward agent client|adopt|clients|registration-token`: OAuth clients, and whom they act as. */
export function addClientCommands(agent: Command, cli: Cli): void {
  agent
    .command("client <name>")
    .description("make an OAuth client that acts as an agent")
    .option("--auth <method>", "client_secret_basic, private_key_jwt or tls_client_auth", "client_secret_basic")
    .option("--jwks <file>", "the client's public keys, for private_key_jwt")
    .option("--subject <name>", "subject DN, or URI of the certificate, for tls_client_auth")
    .addHelpText("after", "\nExample:\n  doorward agent client dns-bot --auth private_key_jwt --jwks keys.json --json")
    .action(async (name: string, _: unknown, self: Command) => {
      const { auth, jwks, subject } = optionsOf<{ auth: string; jwks?: string; subject?: string }>(self);
      const keys = jwks === undefined ? undefined : readKeys(jwks);
      await withAdmin(cli, self, async (admin) => {
        const issued = await admin.run<IssuedClient>("agent.client", {
          name,
          auth,
          ...(keys === undefined ? {} : { jwks: keys }),
          ...(subject === undefined ? {} : { subject }),
        });
        show(cli, self, issued, () => [
          `client_id ${issued.client_id}`,
          ...(issued.client_secret === undefined ? [] : [`client_secret ${issued.client_secret}`]),
          `token_endpoint ${issued.token_endpoint}`,
        ]);
        if (issued.client_secret !== undefined) cli.terminal.say("the secret is shown once");
      });
    });

  agent
    .command("adopt <client-id>")
    .description("let a client that registered itself act as an agent, from its next call on")
    .requiredOption("--as <name>", "the agent; added to doorward.yaml where it is not there")
    .option("--role <role>", "a role of the file; may be repeated", collect)
    .addHelpText("after", "\nExample:\n  doorward agent adopt client_01hq… --as laptop --role dns-reader")
    .action(async (clientId: string, _: unknown, self: Command) => {
      const { as, role } = optionsOf<{ as: string; role?: readonly string[] }>(self);
      await withAdmin(cli, self, async (admin) => {
        const adopted = await admin.run<{ agent: string; client_id: string }>("agent.adopt", {
          client_id: clientId,
          name: as,
          ...(role === undefined ? {} : { roles: role }),
        });
        show(cli, self, adopted, () => [`${adopted.client_id} acts as ${adopted.agent}`]);
      });
    });

  agent
    .command("registration-token")
    .description("make a token with which clients, in CI say, register themselves and act as one agent at once")
    .option("--role <role>", "a role of the file; may be repeated", collect)
    .option("--as <name>", "the agent they act as; ci-ROLE where none is named")
    .option("--uses <number>", "how many clients may register", "1")
    .option("--ttl <duration>", "how long it is good", "1h")
    .addHelpText("after", "\nExample:\n  doorward agent registration-token --role dns-reader --uses 3 --ttl 1h --json")
    .action(async (_: unknown, self: Command) => {
      const { role, as, uses, ttl } = optionsOf<{ role?: readonly string[]; as?: string; uses: string; ttl: string }>(
        self,
      );
      await withAdmin(cli, self, async (admin) => {
        const made = await admin.run<{ registration_token: string; agent: string; expires_at: string }>(
          "agent.registration-token",
          {
            uses: Number(uses),
            ttl_seconds: seconds(ttl),
            ...(role === undefined ? {} : { roles: role }),
            ...(as === undefined ? {} : { name: as }),
          },
        );
        show(cli, self, made, () => [made.registration_token]);
        cli.terminal.say(`clients that register with it act as ${made.agent}; good until ${made.expires_at}`);
      });
    });

  agent
    .command("clients")
    .description("OAuth clients: those made here, and those that registered themselves")
    .addHelpText("after", "\nExample:\n  doorward agent clients --json")
    .action(async (_: unknown, self: Command) => {
      await withAdmin(cli, self, async (admin) => {
        const { clients } = await admin.run<{ clients: readonly ListedClient[] }>("agent.clients");
        show(cli, self, clients, () =>
          columns([
            ["CLIENT", "NAME", "ACTS AS", "MADE", "STATE"],
            ...clients.map((one) => [
              one.client_id,
              one.name ?? "-",
              one.agent ?? "nobody yet",
              one.created_at.slice(0, 10),
              one.revoked_at === null ? one.kind : "revoked",
            ]),
          ]),
        );
      });
    });
}

/** @throws {Problem} `invalid_request` when it is no JSON object. */
function readKeys(path: string): JsonObject {
  const parsed = parseStrictJson(readFileSync(path));
  if (parsed.ok && typeof parsed.value === "object" && parsed.value !== null && !Array.isArray(parsed.value)) {
    return parsed.value as JsonObject;
  }
  throw new Problem("invalid_request", {
    detail: `\`${path}\` holds no JWK set`,
    remedy: 'Write `{"keys": [{"kty": "OKP", "crv": "Ed25519", "x": "…"}]}`.',
  });
}
