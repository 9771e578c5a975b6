import { createServer, request as httpRequest } from "node:http";
import type { AddressInfo } from "node:net";

/** A relay on loopback that puts a token on each request, for a test suite that cannot authenticate. */
export interface Relay extends AsyncDisposable {
  readonly url: string;
}

/**
 * Starts the relay. Everything else passes as it came, Host and Origin too, since the suite judges what is made of them:
 * only where they name the relay itself they are written as the daemon's.
 */
export async function startRelay({ to, key }: { readonly to: string; readonly key: string }): Promise<Relay> {
  const target = new URL(to);
  const names = new Map<string, string>();
  const server = createServer((request, response) => {
    const headers = request.rawHeaders.map((word) => names.get(word) ?? word);
    const onward = httpRequest(
      {
        host: target.hostname,
        port: target.port,
        method: request.method,
        path: request.url,
        headers: [...headers, "authorization", `Bearer ${key}`],
        setHost: false,
      },
      (answer) => {
        response.writeHead(answer.statusCode ?? 502, answer.rawHeaders);
        response.flushHeaders();
        answer.pipe(response);
      },
    );
    onward.on("error", () => response.destroy());
    response.on("close", () => onward.destroy());
    request.pipe(onward);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const own = `127.0.0.1:${(server.address() as AddressInfo).port}`;
  names.set(own, target.host).set(`http://${own}`, target.origin);
  return {
    url: `http://${own}`,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
