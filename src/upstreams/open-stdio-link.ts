import type { CompiledMcpService } from "../policy/snapshot.ts";
import type { Link, LinkEnding, LinkFacts } from "./link.ts";
import type { StartedServer } from "./start-server.ts";
import { createStderrRing } from "./stderr-ring.ts";
import { createStdioTransport, type IgnoredWhy } from "./stdio-transport.ts";

/** A child that does not end by itself when its input does is ended after this. */
const GRACE_MS = 2_000;
/** Over the limit of an answer: the envelope, and the escapes of JSON. */
const ENVELOPE_FACTOR = 2;

/** Makes the wire to a server out of its child's pipes. */
export function openStdioLink(service: CompiledMcpService, { child, facts, release }: StartedServer): Link {
  const ring = createStderrRing();
  const ignored: Record<string, number> = {};
  const { promise: closed, resolve } = Promise.withResolvers<void>();
  let ending: LinkEnding | undefined;
  let closing: Promise<void> | undefined;
  const end = (by: LinkEnding["by"], why: string, graceMs = GRACE_MS) => {
    closing ??= (async () => {
      ending = { by, why };
      resolve();
      transport.ended();
      await child.stop(graceMs);
      await release();
    })();
    return closing;
  };
  const transport = createStdioTransport(
    child,
    { messageBytes: service.config.limits.responseBytes * ENVELOPE_FACTOR },
    {
      ignored: (why: IgnoredWhy) => {
        ignored[why] = (ignored[why] ?? 0) + 1;
      },
      intolerable: (why) => void end("peer", why),
    },
    () => end("us", "the connection was closed"),
  );
  child.stderr.on("data", (chunk: Buffer) => ring.push(chunk));
  child.stderr.on("error", () => {});
  void child.exited.then(({ code, signal }) => end("peer", exitWords(code, signal)));
  return {
    transport,
    facts: facts satisfies LinkFacts,
    stderr: () => ring.lines(),
    ignored: () => ({ ...ignored }),
    closed,
    ending: () => ending,
    close: (why, graceMs) => end("us", why, graceMs),
  };
}

function exitWords(code: number | null, signal: string | null): string {
  return signal === null ? `it exited with status ${code}` : `it was ended by ${signal}`;
}
