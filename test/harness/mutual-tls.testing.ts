import { issueClientCertificate, makeAuthority, type TestCertificate } from "../../src/egress/certificates.testing.ts";

/** The authorities of a server and of its clients, and one client's certificate, which holds this URI. */
export function makeMutualTls(uri: string) {
  const servers = makeAuthority("server authority");
  const clients = makeAuthority("client authority");
  const bot = issueClientCertificate(clients, "bot", { uris: [uri] });
  /** How `https.request` reaches the server: with a certificate, or as nobody. */
  const dial = (port: number, certificate: TestCertificate | undefined) => ({
    host: "127.0.0.1",
    port,
    servername: "localhost",
    ca: servers.cert,
    ...(certificate === undefined ? {} : { cert: certificate.cert, key: certificate.key }),
  });
  return { servers, clients, bot, dial };
}
