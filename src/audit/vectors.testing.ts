import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { completed, decided, makeHome, openTestLog, readSegment } from "./evidence.testing.ts";
import { createNoteSigner } from "./signed-note.ts";

/** One case of `docs/verify/vectors/vectors.json`: files of an `audit/` folder, and what a verifier must say. */
export interface AuditVector {
  readonly name: string;
  readonly files: { readonly [path: string]: string };
  /** A note that was kept elsewhere. */
  readonly checkpoint?: string;
  readonly ok: boolean;
}

const SEGMENT = "node-1/000001.jsonl";
const KEY = "node-1/key.pub";

/** Makes the vectors: from fixed keys and a fixed clock, so that they are the same each time. */
export async function makeVectors(): Promise<AuditVector[]> {
  using home = makeHome();
  const log = await openTestLog(home);
  await log.append(decided("req_1"));
  await log.append(completed("req_1"));
  const note = await log.checkpoint();
  await log.append({
    ...decided("req_2"),
    decision: "deny",
    code: "denied",
    data: { detail: 'a "quoted" café\n\u2028' },
  });
  await log.append(decided("req_3"));
  await log.append(completed("req_3"));
  await log.close();
  const key = readFileSync(join(home.node, "key.pub"), "utf8");
  const lines = readSegment(home);
  const half = Math.floor(lines.length / 2);
  const files = (changed: readonly string[], publicKey = key) => ({
    [KEY]: publicKey,
    [SEGMENT]: changed.map((line) => `${line}\n`).join(""),
  });
  const foreign = createNoteSigner("node-1", Buffer.alloc(32, 3));
  return [
    { name: "what a node wrote", files: files(lines), ok: true },
    { name: "the same, against a checkpoint that was kept", files: files(lines), checkpoint: note, ok: true },
    {
      name: "two segments",
      files: { [KEY]: key, [SEGMENT]: text(lines.slice(0, half)), "node-1/000002.jsonl": text(lines.slice(half)) },
      ok: true,
    },
    { name: "no line yet", files: { [KEY]: key, [SEGMENT]: "" }, ok: true },
    { name: "one character edited", files: files(lines.with(2, lines[2]!.replace("dns-bot", "dns-b0t"))), ok: false },
    { name: "a line dropped", files: files(lines.toSpliced(3, 1)), ok: false },
    { name: "two lines swapped", files: files(lines.with(2, lines[3]!).with(3, lines[2]!)), ok: false },
    { name: "a line repeated", files: files(lines.toSpliced(3, 0, lines[3]!)), ok: false },
    { name: "edited and chained anew", files: files(rechain(lines, 2)), ok: false },
    { name: "white space, with a right hash", files: files(lines.with(0, spaced(lines[0]!))), ok: false },
    { name: "a torn last line", files: { [KEY]: key, [SEGMENT]: `${text(lines)}{"v":1,` }, ok: false },
    { name: "a permitted call without outcome", files: files(lines.slice(0, 3)), ok: false },
    { name: "cut, without a checkpoint that was kept: not to be seen", files: files(lines.slice(0, 2)), ok: true },
    { name: "cut, against a checkpoint that was kept", files: files(lines.slice(0, 2)), checkpoint: note, ok: false },
    { name: "another key beside the lines", files: files(lines, `${foreign.vkey}\n`), ok: false },
    {
      name: "a checkpoint that somebody else signed",
      files: files(lines),
      checkpoint: foreign.sign({ size: 4, root: Buffer.alloc(32) }),
      ok: false,
    },
    { name: "the first segment missing", files: { [KEY]: key, "node-1/000002.jsonl": text(lines) }, ok: false },
    {
      name: "another node's name on the folder",
      files: { "node-2/key.pub": key, "node-2/000001.jsonl": text(lines) },
      ok: false,
    },
  ];
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}

function seal(body: string): string {
  return `${body},"hash":"${createHash("sha256").update(body).digest("hex")}"}`;
}

function spaced(line: string): string {
  return seal(line.slice(0, line.lastIndexOf(',"hash":')).replace('"v":1,', '"v": 1,'));
}

/** Gives lines their chain anew after an edit of one, as somebody would who has no key. */
export function rechain(lines: readonly string[], edited = -1): string[] {
  let prev = "0".repeat(64);
  return lines.map((line, index) => {
    const {
      prev: _,
      hash: __,
      ...event
    } = JSON.parse(index === edited ? line.replace('"at":"2026', '"at":"2025') : line);
    const sealed = seal(JSON.stringify({ ...event, seq: index + 1, prev }).slice(0, -1));
    prev = JSON.parse(sealed).hash;
    return sealed;
  });
}
