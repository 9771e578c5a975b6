import assert from "node:assert/strict";
import { type TestContext, test } from "node:test";
import { brotliCompressSync, deflateRawSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import fc from "fast-check";
import { type Coding, createBodyDecoder, decodeWhole, parseContentEncoding } from "./decode-body.ts";
import { answer, rawUpstream, requestTo, run, settled, testEgress, wordScrubber } from "./egress.testing.ts";
import type { OutboundRequest } from "./outbound-request.ts";

const ENCODERS: Record<Coding, (body: Uint8Array) => Buffer> = {
  gzip: gzipSync,
  deflate: deflateSync,
  br: brotliCompressSync,
  zstd: zstdCompressSync,
};

async function call(t: TestContext, encoding: string, body: Buffer, parts: Partial<OutboundRequest> = {}) {
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer(body, [`content-encoding: ${encoding}`])));
  return run(testEgress(t), requestTo(upstream.origin, parts));
}

test("every encoding is taken off, also two of them, and the scrubber sees what is inside", async (t) => {
  const plain = Buffer.from("the word is hunter2, again and again. ".repeat(50));
  const clean = plain.toString().replaceAll("hunter2", "[redacted]");
  const scrubber = wordScrubber("hunter2");
  const bodies: Record<string, Buffer> = {
    gzip: gzipSync(plain),
    "X-GZIP": gzipSync(plain),
    deflate: deflateSync(plain),
    "deflate ": deflateRawSync(plain),
    br: brotliCompressSync(plain),
    zstd: zstdCompressSync(plain),
    identity: plain,
    "gzip, gzip": gzipSync(gzipSync(plain)),
    "gzip,br": brotliCompressSync(gzipSync(plain)),
    "identity, deflate, zstd": zstdCompressSync(deflateSync(plain)),
  };
  for (const [encoding, body] of Object.entries(bodies)) {
    const outcome = await call(t, encoding, body, { scrubber });
    assert.equal(outcome.problem, undefined, encoding);
    assert.equal(outcome.body.toString(), clean, encoding);
    assert.deepEqual(outcome.head?.headers, [], encoding);
  }
});

test("an encoding that ends early, is damaged, or goes on behind its end is invalid", async (t) => {
  const plain = Buffer.from("something to compress, something to compress".repeat(20));
  for (const [encoding, encode] of Object.entries(ENCODERS)) {
    const whole = encode(plain);
    const bodies = {
      truncated: whole.subarray(0, whole.length - 4),
      damaged: Buffer.concat([Buffer.from("\x08\x99garbage"), whole]),
      "not encoded at all": Buffer.from("{}"),
    };
    for (const [name, body] of Object.entries(bodies)) {
      const outcome = await call(t, encoding, body);
      assert.equal(outcome.problem?.code, "upstream_invalid", `${encoding} ${name}`);
    }
  }
  const inner = gzipSync(plain);
  assert.equal(
    (await call(t, "gzip, br", brotliCompressSync(inner.subarray(0, 20)))).problem?.code,
    "upstream_invalid",
  );
});

test("bytes behind the end of an encoding end the call while they still come", async (t) => {
  const bodies: Record<string, Buffer> = { gzip: gzipSync("all of it"), deflate: deflateSync("all of it") };
  for (const [encoding, body] of Object.entries(bodies)) {
    const upstream = await rawUpstream(t, ({ socket }) => {
      socket.write(`HTTP/1.1 200 OK\r\ncontent-encoding: ${encoding}\r\n\r\n`);
      socket.write(Buffer.concat([body, Buffer.alloc(10)]));
      const more = setInterval(() => socket.write(Buffer.alloc(10)), 2);
      socket.on("close", () => clearInterval(more));
    });
    const outcome = await run(testEgress(t), requestTo(upstream.origin));
    assert.equal(outcome.problem?.code, "upstream_invalid", encoding);
  }
});

test("an encoding that only ever takes is stopped at the limit", async (t) => {
  const upstream = await rawUpstream(t, ({ socket }) => {
    socket.write("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\n\r\n");
    socket.write(Buffer.from("1f8b0808000000000003", "hex"));
    const name = () => {
      while (!socket.destroyed && socket.write(Buffer.alloc(16_384, "n")));
    };
    socket.on("drain", name);
    name();
  });
  const outcome = await run(testEgress(t), requestTo(upstream.origin, { responseBytes: 100_000 }));
  assert.equal(outcome.problem?.code, "upstream_too_large");
});

test("a bomb is stopped at the limit", async (t) => {
  const zeros = Buffer.alloc(64 * 1024 * 1024);
  const bombs: Record<string, Buffer> = {
    gzip: gzipSync(zeros),
    br: brotliCompressSync(zeros, { params: {} }),
    zstd: zstdCompressSync(zeros),
    "gzip, gzip": gzipSync(gzipSync(zeros)),
  };
  for (const [encoding, body] of Object.entries(bombs)) {
    const outcome = await call(t, encoding, body, { responseBytes: 100_000, overLimit: "cut" });
    assert.equal(outcome.problem?.code, "upstream_too_large", encoding);
    assert.equal(outcome.body.length, 100_000, encoding);
  }
});

test("a bomb between two encodings is stopped too", async (t) => {
  const endlessName = Buffer.concat([Buffer.from("1f8b0808000000000003", "hex"), Buffer.alloc(8 * 1024 * 1024, "n")]);
  const outcome = await call(t, "gzip, gzip", gzipSync(endlessName), { responseBytes: 100_000 });
  assert.equal(outcome.problem?.reason, "the answer's content encoding unfolds without end");
});

test("a frame that wants more window than is granted is invalid", async (t) => {
  // Magic, a frame header with a 128 MiB window (exponent 17) and no content size, one raw block.
  const greedy = Buffer.from("28b52ffd0088090000 61".replace(" ", ""), "hex");
  assert.equal((await call(t, "zstd", greedy)).problem?.code, "upstream_invalid");
});

test("a slow reader slows the decoder down", async (t) => {
  const body = gzipSync(Buffer.alloc(8 * 1024 * 1024));
  const upstream = await rawUpstream(t, ({ socket }) => socket.write(answer(body, ["content-encoding: gzip"])));
  let pauses = 0;
  let early = 0;
  let bytes = 0;
  const outcome = await run(testEgress(t), requestTo(upstream.origin, { responseBytes: 10 * 1024 * 1024 }), {
    data: (chunk, exchange) => {
      bytes += chunk.length;
      if (pauses > 3) return true;
      pauses += 1;
      const atPause = bytes;
      void settled(() => bytes).then((bytesNow) => {
        early += bytesNow - atPause;
        exchange.resume();
      });
      return false;
    },
  });
  assert.equal(outcome.problem, undefined);
  assert.equal(bytes, 8 * 1024 * 1024);
  assert.equal(early, 0, "data came during a pause");
});

test("any body, encoding and chunking: what comes out is what went in", async () => {
  const codings = fc.array(fc.constantFrom<Coding>("gzip", "deflate", "br", "zstd"), { minLength: 1, maxLength: 2 });
  await fc.assert(
    fc.asyncProperty(
      fc.uint8Array({ maxLength: 2_000 }),
      codings,
      fc.integer({ min: 1, max: 300 }),
      async (plain, layers, size) => {
        const encoded = layers.reduce<Uint8Array>((body, coding) => ENCODERS[coding](body), plain);
        const chunks: Uint8Array[] = [];
        await new Promise<void>((resolve, reject) => {
          const decoder = createBodyDecoder(layers, 100_000, {
            data: (chunk) => chunks.push(chunk),
            drain: () => {},
            end: resolve,
            fail: reject,
          });
          for (let at = 0; at < encoded.length; at += size) decoder.write(encoded.subarray(at, at + size));
          decoder.end();
        });
        assert.deepEqual(Buffer.concat(chunks), Buffer.from(plain));
        assert.deepEqual(Buffer.from(decodeWhole(layers, encoded)!), Buffer.from(plain));
      },
    ),
    { numRuns: 150 },
  );
});

test("what is damaged or unfolds far is left to the decoder", () => {
  assert.equal(decodeWhole(["gzip"], gzipSync("x").subarray(0, 15)), undefined);
  for (const coding of ["gzip", "br", "zstd"] as const) {
    assert.equal(decodeWhole([coding], ENCODERS[coding](Buffer.alloc(300_000))), undefined, coding);
  }
});

test("large bodies, small ones and those in pieces come out the same", async (t) => {
  for (const size of [1, 3_000, 200_000, 900_000]) {
    const plain = Buffer.from(Array.from({ length: size }, (_, i) => (i * i) >> 5));
    for (const [encoding, encode] of Object.entries(ENCODERS)) {
      const outcome = await call(t, encoding, encode(plain));
      assert.ok(outcome.body.equals(plain), `${encoding} ${size}`);
    }
  }
});

test("the header is read leniently, and unknown codings are not guessed", () => {
  assert.deepEqual(parseContentEncoding(""), []);
  assert.deepEqual(parseContentEncoding(" GZIP ,identity,, Br"), ["gzip", "br"]);
  for (const unknown of ["compress", "gzip;q=1", "gzip, x", "gzip,br,gzip", "__proto__", "aws-chunked"]) {
    assert.equal(parseContentEncoding(unknown), undefined, unknown);
  }
});
