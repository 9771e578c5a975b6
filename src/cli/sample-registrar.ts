import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

/** One DNS record of the sample. */
interface SampleRecord {
  readonly id: number;
  readonly type: string;
  readonly name: string;
  readonly value: string;
}

/** A registrar that sells nothing: domains, records, and one endpoint that is careless with headers. */
export interface SampleRegistrar extends AsyncDisposable {
  /** `http://127.0.0.1:PORT/v1`. */
  readonly url: string;
  /** Every request that arrived, as `METHOD /path?query`: what the tour and the tests compare with the evidence. */
  readonly received: readonly string[];
}

const BODY_BYTES = 64 * 1024;

const FIRST_RECORDS: readonly SampleRecord[] = [
  { id: 1, type: "A", name: "@", value: "192.0.2.10" },
  { id: 2, type: "A", name: "www", value: "192.0.2.10" },
  { id: 3, type: "TXT", name: "@", value: "v=spf1 -all" },
  { id: 4, type: "TXT", name: "_acme-challenge", value: "Xq3vPz" },
  { id: 5, type: "TXT", name: "_dmarc", value: "v=DMARC1; p=reject" },
];

/**
 * Starts the sample API on loopback: what `doorward try`, the tests and the documentation call.
 *
 * @param options.key - The bearer token it asks for; everything else is 401, as a real registrar would answer.
 */
export async function startSampleRegistrar(options: {
  readonly key: string;
  readonly port?: number;
}): Promise<SampleRegistrar> {
  const received: string[] = [];
  const domains = new Map<string, SampleRecord[]>([
    ["example.com", [...FIRST_RECORDS]],
    ["example.net", []],
  ]);
  let nextId = FIRST_RECORDS.length + 1;

  const server = createServer((request, response) => {
    received.push(`${request.method} ${request.url}`);
    if (request.headers.authorization !== `Bearer ${options.key}`)
      return reply(response, 401, { error: "unauthorized" });
    void handle(request, response).catch(() => response.destroy());
  });

  async function handle(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? "/", "http://registrar.test");
    const [, version, collection, name = "", part] = url.pathname.split("/");
    if (version !== "v1") return reply(response, 404, { error: "not found" });
    if (collection === "echo") return reply(response, 200, { method: request.method, headers: request.headers });
    const records = domains.get(name);
    const route = `${request.method} ${collection}${name === "" ? "" : "/{domain}"}${part === undefined ? "" : `/${part}`}`;
    if (route === "GET domains")
      return reply(response, 200, { domains: [...domains.keys()].map((domain) => ({ domain })) });
    if (collection !== "domains" || records === undefined) return reply(response, 404, { error: "not found" });
    const type = url.searchParams.get("type");
    const matching = records.filter((record) => type === null || record.type === type);
    if (route === "GET domains/{domain}") return reply(response, 200, { domain: name, records: records.length });
    if (route === "GET domains/{domain}/records")
      return reply(response, 200, { total: matching.length, records: matching });
    if (route === "POST domains/{domain}/records") {
      const record = { ...(JSON.parse(await readText(request)) as Omit<SampleRecord, "id">), id: nextId++ };
      records.push(record);
      return reply(response, 201, record);
    }
    if (route === "DELETE domains/{domain}/records") {
      domains.set(
        name,
        records.filter((record) => !matching.includes(record)),
      );
      return reply(response, 200, { deleted: matching.length });
    }
    return reply(response, 405, { error: "method not allowed" });
  }

  await new Promise<void>((resolve) => server.listen(options.port ?? 0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/v1`,
    received,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

function reply(response: ServerResponse, status: number, body: object): void {
  const text = JSON.stringify(body);
  response
    .writeHead(status, { "content-type": "application/json", "content-length": Buffer.byteLength(text) })
    .end(text);
}

async function readText(request: IncomingMessage): Promise<string> {
  let text = "";
  for await (const chunk of request) {
    text += chunk;
    if (text.length > BODY_BYTES) throw new Error("too large");
  }
  return text;
}
