/**
 * Measures the scrubber: MB/s in chunks of 64 KiB and as server-sent events, for 1 and 50 secrets, and hostile texts.
 * Run it with `node bench/scrub.ts`; medians of several runs, in CPU time, as other work on the machine must not count.
 */
import { Secret } from "../src/base/secret.ts";
import { createScrubber, type Scrubber } from "../src/credentials/scrubber.ts";

const SIZE_BYTES = 10 * 1024 * 1024;
const RUNS = 3;

const random = (() => {
  let state = 12345;
  return () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff;
    return state / 0x80000000;
  };
})();

const LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
const token = (length: number) => Array.from({ length }, () => LETTERS[Math.floor(random() * LETTERS.length)]).join("");
const WORDS = "the of and records domain zone answer request value name type created updated status active owner".split(
  " ",
);
const words = (count: number) =>
  Array.from({ length: count }, () => WORDS[Math.floor(random() * WORDS.length)]).join(" ");

function filled(piece: () => string): Buffer {
  const parts: string[] = [];
  for (let length = 0; length < SIZE_BYTES; ) {
    const part = piece();
    parts.push(part);
    length += part.length;
  }
  return Buffer.from(parts.join("")).subarray(0, SIZE_BYTES);
}

function chunks(text: Buffer, size: number): Buffer[] {
  return Array.from({ length: Math.ceil(text.length / size) }, (_, i) => text.subarray(i * size, (i + 1) * size));
}

function megabytesPerSecond(scrubber: Scrubber, pieces: readonly Buffer[]): number {
  const bytes = pieces.reduce((sum, piece) => sum + piece.length, 0);
  const rates: number[] = [];
  for (let run = 0; run < RUNS; run++) {
    const before = cpuMs();
    const stream = scrubber.stream();
    for (const piece of pieces) stream.push(piece);
    stream.end();
    rates.push(bytes / 1e3 / (cpuMs() - before));
  }
  return rates.sort((a, b) => a - b)[Math.floor(RUNS / 2)]!;
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}

const texts: Record<string, Buffer[]> = {
  "plain text, 64 KiB chunks": chunks(
    filled(() => `${words(12)}.\n`),
    65536,
  ),
  "json, 64 KiB chunks": chunks(
    filled(
      () => `${JSON.stringify({ id: token(24), name: words(3), note: `${words(9)}\n"${words(2)}"`, n: random() })},`,
    ),
    65536,
  ),
  "base64, 64 KiB chunks": chunks(
    filled(() => token(1000)),
    65536,
  ),
  "html, 64 KiB chunks": chunks(
    filled(() => `<p class="a">${words(8)} &amp; ${words(3)}&nbsp;&#39;${words(2)}</p>`),
    65536,
  ),
  "urls, 64 KiB chunks": chunks(
    filled(() => `https://example.com/a%2Fb%20c?x=${token(12)}&y=%C3%A9&z=${words(1)}\n`),
    65536,
  ),
  "server-sent events": chunks(
    filled(() => `data: ${JSON.stringify({ delta: words(6), id: token(12) })}\n\n`),
    150,
  ),
};
const hostile: Record<string, Buffer[]> = {
  "aaaa…": chunks(Buffer.alloc(SIZE_BYTES, "a"), 65536),
  "\\\\\\\\…": chunks(Buffer.alloc(SIZE_BYTES, "\\"), 65536),
  "%%%%…": chunks(Buffer.alloc(SIZE_BYTES, "%"), 65536),
  "%25%25…": chunks(Buffer.alloc(SIZE_BYTES, "%25"), 65536),
  "%61%61…": chunks(Buffer.alloc(SIZE_BYTES, "%61"), 65536),
  "&&&&…": chunks(Buffer.alloc(SIZE_BYTES, "&"), 65536),
  "&amp;amp;…": chunks(Buffer.alloc(SIZE_BYTES, "&amp;amp;"), 65536),
  "&#000000…": chunks(Buffer.alloc(SIZE_BYTES, "&#000000"), 65536),
  "\\u005c\\u005c…": chunks(Buffer.alloc(SIZE_BYTES, "\\u005c"), 65536),
  "&\\%&\\%…": chunks(Buffer.alloc(SIZE_BYTES, "&\\%"), 65536),
};

const one = createScrubber([new Secret(`sk_live_${token(32)}`)]);
const fifty = createScrubber(Array.from({ length: 50 }, () => new Secret(token(20 + Math.floor(random() * 40)))));
const periodic = createScrubber([new Secret(`${"a".repeat(63)}b`)]);
const slashes = createScrubber([new Secret("\\%&\\".repeat(16))]);

const row = (name: string, ...values: (number | string)[]) =>
  process.stdout.write(
    `${name.padEnd(28)}${values.map((v) => String(typeof v === "number" ? Math.round(v) : v).padStart(14)).join("")}\n`,
  );

const before = cpuMs();
for (let i = 0; i < 100; i++) createScrubber([new Secret(`sk_live_${token(32)}`)]);
row("compiling, µs", (cpuMs() - before) * 10);
row("MB/s", "1 secret", "50 secrets");
for (const [name, pieces] of Object.entries(texts)) {
  row(name, megabytesPerSecond(one, pieces), megabytesPerSecond(fifty, pieces));
}
row("hostile, MB/s", "1 secret", "aaa…b secret", "escape secret");
for (const [name, pieces] of Object.entries(hostile)) {
  const few = pieces.slice(0, 4);
  row(name, ...[one, periodic, slashes].map((scrubber) => megabytesPerSecond(scrubber, few)));
}
