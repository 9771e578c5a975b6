import { createServer } from "node:http";
import type { AddressInfo } from "node:net";

/** The service that a drill calls: `/call` answers at once, `/stream` begins and does not end. */
export interface DrillUpstream extends AsyncDisposable {
  readonly port: number;
}

/** Starts it on loopback, on a port of the system's choice. */
export async function startDrillUpstream(): Promise<DrillUpstream> {
  const server = createServer((request, response) => {
    if (request.url !== "/stream") {
      response.writeHead(200, { "content-type": "text/plain" }).end("ok");
      return;
    }
    response.writeHead(200, { "content-type": "text/event-stream" });
    response.write("data: begun\n\n");
  });
  await new Promise<void>((resolve, reject) => {
    server.on("error", reject);
    server.listen(0, "127.0.0.1", resolve);
  });
  return {
    port: (server.address() as AddressInfo).port,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
