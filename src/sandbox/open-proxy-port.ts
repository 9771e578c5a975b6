import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";

/** A port on the host's loopback that leads to the egress proxy of one child. */
export interface ProxyPort {
  /** `http://127.0.0.1:PORT`. */
  readonly url: string;
  /** Ends the listener and what goes through it. */
  close(): void;
}

/** More connections at once than any server needs; the proxy has its own limit. */
const CONNECTIONS = 256;

/**
 * Opens a port for a child that has no network of its own. Other programs of the host reach it too: what guards the
 * credential then is the placeholder, which they do not know.
 */
export async function openProxyPort(proxySocket: string): Promise<ProxyPort> {
  const open = new Set<Socket>();
  const server = createServer({ allowHalfOpen: true }, (near) => {
    const far = connect({ path: proxySocket, allowHalfOpen: true });
    near.pipe(far).pipe(near);
    for (const [one, other] of [
      [near, far],
      [far, near],
    ] as const) {
      open.add(one);
      one.on("error", () => other.destroy());
      one.on("close", () => {
        open.delete(one);
        other.destroy();
      });
    }
  });
  server.maxConnections = CONNECTIONS;
  server.listen({ host: "127.0.0.1", port: 0 });
  await once(server, "listening");
  server.unref();
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    close() {
      server.close();
      for (const socket of open) socket.destroy();
    },
  };
}
