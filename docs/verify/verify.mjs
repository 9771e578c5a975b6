// @ts-nocheck: what it reads has no type before it is verified
// Verifies Doorward's evidence with Node's own modules alone: node verify.mjs DIR [CHECKPOINT]
// DIR: an audit/ folder or one node's; CHECKPOINT: a signed note kept elsewhere. Exit 0, or 4 and a line per finding.
// It believes the key.pub in DIR: compare that with the one you kept.
import { createHash, createPublicKey, verify } from "node:crypto";
import { createReadStream, readdirSync, readFileSync } from "node:fs";
import { basename, join, resolve } from "node:path";

const KEYS = "v,seq,at,node,type,request_id,agent,tenant,user,service,operation,decision,rules,code".split(",");
const sha256 = (...parts) => parts.reduce((hash, part) => hash.update(part), createHash("sha256")).digest();
const hex = (bytes) => bytes.toString("hex");
const parent = (left, right) => sha256(Buffer.from([1]), left, right);
const rootOf = (peaks) => (peaks.length === 0 ? sha256("") : peaks.reduceRight((right, left) => parent(left, right)));

/** Whether a note says so: origin, size, root, an empty line, `— name base64(4 bytes of key id, 64 of signature)`. */
function isSigned(note, key, size, root) {
  const text = `${key.name}\n${size}\n${root.toString("base64")}\n`;
  const sealed = Buffer.from(note.slice(text.length).split(" ")[2] ?? "", "base64");
  if (note !== `${text}\n— ${key.name} ${sealed.toString("base64")}\n` || sealed.indexOf(key.id) !== 0) return false;
  return verify(null, Buffer.from(text), key.public, sealed.subarray(4));
}

/** A C2SP vkey: name+hex(key id)+base64(1, 32 bytes of Ed25519). */
function readKey(file) {
  const [, name, id, encoded] = /^([^\s+]+)\+([0-9a-f]{8})\+([A-Za-z0-9+/=]+)$/.exec(readFileSync(file, "utf8").trim());
  const bytes = Buffer.from(encoded, "base64");
  const right = bytes.length === 33 && bytes[0] === 1 && hex(sha256(`${name}\n`, bytes)).startsWith(id);
  if (!right) throw new Error("the public key is not well formed");
  const key = { kty: "OKP", crv: "Ed25519", x: bytes.subarray(1).toString("base64url") };
  return { name, id: Buffer.from(id, "hex"), public: createPublicKey({ key, format: "jwk" }) };
}

async function* linesOf(file) {
  let rest = Buffer.alloc(0);
  for await (const chunk of createReadStream(file)) {
    rest = Buffer.concat([rest, chunk]);
    for (let end = rest.indexOf(10); end >= 0; end = rest.indexOf(10)) {
      yield rest.subarray(0, end);
      rest = rest.subarray(end + 1);
    }
    if (rest.length > 1 << 20) throw new Error("a line is too long");
  }
  if (rest.length > 0) throw new Error("the last line was not written to its end");
}

async function verifyNode(folder, note, find) {
  const [node, key, open] = [basename(folder), readKey(join(folder, "key.pub")), new Set()];
  const peaks = []; // of the Merkle tree (RFC 6962): the roots of its perfect subtrees, largest first
  let [seq, prev, unsigned, kept] = [0, "0".repeat(64), 0, note && Number(note.split("\n")[1])];
  const keep = () => {
    kept = undefined;
    if (!isSigned(note, key, seq, rootOf(peaks))) find(`the first ${seq} lines are not those of the kept checkpoint`);
  };
  if (key.name !== `doorward/${node}`) find("the public key is of another node");
  if (kept === 0) keep();
  const names = readdirSync(folder).filter((name) => name.includes("jsonl"));
  for (const [index, name] of names.sort().entries()) {
    if (name !== `${String(index + 1).padStart(6, "0")}.jsonl`) find(`a segment is missing or renamed before ${name}`);
    for await (const line of linesOf(join(folder, name))) {
      const check = (right, problem) => right || find(`${name} line ${seq + 1}: ${problem}`);
      const text = line.toString("utf8");
      const event = JSON.parse(text);
      const hash = hex(sha256(text.slice(0, text.lastIndexOf(',"hash":'))));
      check(JSON.stringify(event) === text && Buffer.from(text).equals(line), "not canonical JSON");
      check(`${Object.keys(event)}`.startsWith(`${KEYS},`), "the keys are not in their order");
      check(event.v === 1 && event.seq === seq + 1 && event.node === node, "another line belongs here");
      check(text.endsWith(`,"prev":"${prev}","hash":"${hash}"}`), "changed, or not the next in the chain");
      if (event.type === "audit.checkpoint") {
        const [root, said] = [rootOf(peaks), JSON.stringify([event.size, event.root, event.peaks])];
        check(said === JSON.stringify([seq, hex(root), peaks.map(hex)]), "a checkpoint of other lines");
        check(isSigned(event.note, key, seq, root), "a checkpoint without this key's signature");
        unsigned = 0;
      } else check(++unsigned !== 1001, "more than 1000 lines without a checkpoint");
      if (event.type === "call.decided" && event.decision === "permit") open.add(event.request_id);
      if (event.type === "call.completed") check(open.delete(event.request_id), "an outcome without a decision");
      prev = event.hash;
      let leaf = sha256(Buffer.from([0]), line);
      for (let rest = seq; rest % 2 === 1; rest = Math.floor(rest / 2)) leaf = parent(peaks.pop(), leaf);
      peaks.push(leaf);
      seq += 1;
      if (kept === seq) keep();
    }
  }
  if (kept !== undefined) find(`the kept checkpoint covers ${kept} lines, there are ${seq}`);
  for (const id of open) find(`the call ${id} has no outcome`);
}

const [folder = ".", file] = process.argv.slice(2).map((path) => resolve(path));
const note = file === undefined ? undefined : readFileSync(file, "utf8");
const below = readdirSync(folder, { withFileTypes: true }).filter((entry) => entry.isDirectory());
const nodes = below.length === 0 ? [folder] : below.map((entry) => join(folder, entry.name));
const noteOf = (path) => (note?.startsWith(`doorward/${basename(path)}\n`) ? note : undefined);
if (note !== undefined && !nodes.some(noteOf)) nodes.push(join(folder, "the kept checkpoint's node"));
for (const path of nodes) {
  const find = (problem) => {
    console.log(`${basename(path)}: ${problem}`);
    process.exitCode = 4;
  };
  await verifyNode(path, noteOf(path), find).catch((error) => find(error.message));
}
