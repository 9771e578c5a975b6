import assert from "node:assert/strict";
import { Duplex } from "node:stream";
import { test } from "node:test";
import fc from "fast-check";
import type { Cancellation } from "../base/cancellation.ts";
import { principal } from "../policy/policy.testing.ts";
import type { Dispatch } from "./dispatch.ts";
import { serveStdio } from "./stdio-endpoint.ts";

/** One end of a connection: the test writes what a client says and reads what it is told. */
class Wire extends Duplex {
  readonly told: Buffer[] = [];
  override _read(): void {}
  override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
    this.told.push(chunk);
    done();
  }
  say(chunk: Uint8Array | string | null): void {
    this.push(chunk === null ? null : Buffer.from(chunk));
  }
  get lines(): readonly { readonly [field: string]: unknown }[] {
    const text = Buffer.concat(this.told).toString("utf8");
    return text === ""
      ? []
      : text
          .trimEnd()
          .split("\n")
          .map((line) => JSON.parse(line));
  }
}

function serve(options: { readonly dispatch?: Dispatch; readonly live?: () => boolean; readonly head?: string } = {}) {
  const wire = new Wire();
  const refused: string[] = [];
  serveStdio(
    wire,
    {
      dispatch: options.dispatch ?? ((request) => ({ echo: request.params })),
      async refused(_, reason) {
        refused.push(reason);
      },
      ended: () => {},
      authenticate: () => (options.live?.() === false ? { ok: false } : { ok: true, principal: principal() }),
    },
    Buffer.from(options.head ?? ""),
  );
  return { wire, refused };
}

const request = (id: number | string, method = "x", params: object = {}) =>
  `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;

async function settled(): Promise<void> {
  for (let i = 0; i < 5; i++) await new Promise((resolve) => setImmediate(resolve));
}

test("law: lines are answered alike however they are cut into chunks", async () => {
  const text = Buffer.from(
    `${request(1, "x", { a: "ä€𝄞\u2028" })}\r\n\n${request("two")}not json\n${request(3, "x", { b: "y".repeat(300) })}`,
  );
  const whole = serve();
  whole.wire.say(text);
  await settled();
  const expected = whole.wire.lines.map((line) => JSON.stringify(line)).sort();
  assert.equal(expected.length, 4);
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(text.length), { maxLength: 12 }), fc.nat(text.length), async (cuts, head) => {
      const { wire } = serve();
      const at = [0, ...cuts, head, text.length].sort((a, b) => a - b);
      for (let i = 1; i < at.length; i++) if (at[i]! > at[i - 1]!) wire.say(text.subarray(at[i - 1], at[i]));
      await settled();
      assert.deepEqual(wire.lines.map((line) => JSON.stringify(line)).sort(), expected);
    }),
    { numRuns: 60 },
  );
});

test("what came together with the upgrade is read first", async () => {
  const { wire } = serve({ head: request(1).slice(0, 10) });
  wire.say(request(1).slice(10));
  await settled();
  assert.deepEqual(wire.lines, [{ jsonrpc: "2.0", id: 1, result: { echo: {} } }]);
});

test("a client that says no more still gets its answers, and then the end", async () => {
  const { promise, resolve } = Promise.withResolvers<object>();
  const { wire } = serve({ dispatch: () => promise });
  wire.say(request(1));
  wire.say(null);
  await settled();
  assert.equal(wire.writableEnded, false);
  resolve({ late: true });
  await settled();
  assert.deepEqual(wire.lines, [{ jsonrpc: "2.0", id: 1, result: { late: true } }]);
  assert.equal(wire.writableEnded, true);
});

test("a key that was revoked in between is refused at the next message", async () => {
  let live = true;
  const { wire, refused } = serve({ live: () => live });
  wire.say(request(1));
  await settled();
  live = false;
  wire.say(request(2));
  await settled();
  const [first, second] = wire.lines as { error?: { data?: { code: string } } }[];
  assert.equal(first?.error, undefined);
  assert.equal(second?.error?.data?.code, "invalid_token");
  assert.deepEqual(refused, [], "a stranger writes nothing into the evidence this way");
});

test("what is no message is answered and put on record", async () => {
  const { wire, refused } = serve();
  wire.say('[{"jsonrpc":"2.0","id":1,"method":"x"}]\n{"jsonrpc":"2.0","id":1,"id":2,"method":"x"}\n');
  await settled();
  assert.deepEqual(
    wire.lines.map((line) => (line["error"] as { code: number }).code),
    [-32600, -32700],
  );
  assert.equal(refused.length, 2);
});

test("an id that is under way cannot be used twice, and is free again afterwards", async () => {
  const { promise, resolve } = Promise.withResolvers<object>();
  let runs = 0;
  const { wire } = serve({ dispatch: () => (runs++ === 0 ? promise : { again: true }) });
  wire.say(request(1) + request(1));
  await settled();
  assert.equal((wire.lines[0]?.["error"] as { code: number } | undefined)?.code, -32600);
  resolve({});
  await settled();
  wire.say(request(1));
  await settled();
  assert.deepEqual(wire.lines.at(-1)?.["result"], { again: true });
});

test("a cancellation reaches its call, and closing reaches all of them", async () => {
  const signals: (Cancellation | undefined)[] = [];
  const { wire } = serve({
    dispatch: (_, { signal }) => {
      signals.push(signal);
      return new Promise(() => {});
    },
  });
  wire.say(request(1) + request("1"));
  wire.say(`${JSON.stringify({ jsonrpc: "2.0", method: "notifications/cancelled", params: { requestId: 1 } })}\n`);
  await settled();
  assert.deepEqual(
    signals.map((signal) => signal?.aborted),
    [true, false],
  );
  wire.destroy();
  await settled();
  assert.deepEqual(
    signals.map((signal) => signal?.aborted),
    [true, true],
  );
});

test("a line without end is refused before it fills the memory", async () => {
  const { wire } = serve();
  const chunk = Buffer.alloc(1024 * 1024, "x");
  for (let i = 0; i < 10; i++) wire.say(chunk);
  await settled();
  assert.match(JSON.stringify(wire.lines[0]), /longer than/);
  assert.equal(wire.writableEnded, true);
});

test("more than 256 calls at once are refused, not queued", async () => {
  const { wire } = serve({ dispatch: () => new Promise(() => {}) });
  for (let i = 0; i < 257; i++) wire.say(request(i));
  await settled();
  assert.equal(wire.lines.length, 1);
  assert.match(JSON.stringify(wire.lines[0]), /rate_limited/);
});

test("what is not ours to tell stays here: a fault has no message", async () => {
  const { wire } = serve({
    dispatch: () => {
      throw new TypeError("with something secret");
    },
  });
  wire.say(request(1));
  await settled();
  assert.deepEqual(wire.lines, [{ jsonrpc: "2.0", id: 1, error: { code: -32603, message: "a fault of Doorward" } }]);
});
