import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { resolveMounts, resolveProgramMounts, within } from "./resolve-mounts.ts";

const base = realpathSync(mkdtempSync(join(tmpdir(), "doorward-mounts-")));
after(() => rmSync(base, { recursive: true, force: true }));
const home = join(base, "person/.doorward");
const data = join(base, "data");
for (const folder of [home, join(home, "audit"), data, join(base, "person/work")])
  mkdirSync(folder, { recursive: true });
writeFileSync(join(data, "file"), "");
symlinkSync("file", join(data, "link"));
symlinkSync(home, join(data, "to-home"));
symlinkSync(join(base, "person/work"), join(data, "out"));

const read = (path: string) => resolveMounts({ read: [path], write: [], home });
const faultOf = (answer: ReturnType<typeof resolveMounts>) => ("fault" in answer ? answer.fault.detail : undefined);

test("a folder and a file are opened as they are named, links at the place where they end", () => {
  assert.deepEqual(
    resolveMounts({ read: [`${data}/`, join(data, "link")], write: [join(base, "person/work")], home }),
    {
      mounts: [
        { source: data, at: data, access: "read" },
        { source: join(data, "file"), at: join(data, "link"), access: "read" },
        { source: join(base, "person/work"), at: join(base, "person/work"), access: "write" },
      ],
    },
  );
});

for (const path of [
  "/",
  "/proc",
  "/proc/1",
  "/sys/kernel",
  "/dev",
  "/run",
  "/run/user/1000",
  "/tmp",
  "/tmp/",
  "/etc",
  "/var",
])
  test(`${path} is not opened`, () => assert.notEqual(faultOf(read(path)), undefined));

test("neither the Doorward home, nor what is in it, nor what holds it, nor a link to it is opened", () => {
  for (const path of [home, join(home, "audit"), join(base, "person"), base, join(data, "to-home")])
    assert.match(faultOf(read(path)) ?? "", /would open the Doorward home/);
});

test("a path that is missing or not absolute is named", () => {
  assert.match(faultOf(read(join(base, "nowhere"))) ?? "", /does not exist/);
  assert.match(faultOf(read("data")) ?? "", /does not exist/);
});

test("a socket is not opened", async () => {
  const path = join(data, "socket");
  const server = createServer().listen(path);
  await new Promise((resolve) => server.once("listening", resolve));
  assert.match(faultOf(read(path)) ?? "", /neither a file nor a folder/);
  await new Promise((resolve) => server.close(resolve));
});

test("a link that a server may change opens nothing, wherever it leads now", () => {
  for (const link of ["out", "link"]) {
    const asked = { read: [join(data, link)], write: [], home };
    assert.equal(faultOf(resolveMounts(asked)), undefined);
    assert.match(faultOf(resolveMounts({ ...asked, write: [data] })) ?? "", /a link that a server may change/);
    assert.match(faultOf(resolveMounts({ ...asked, others: [data] })) ?? "", /a link that a server may change/);
  }
});

test("the folders on the way to a path in a writable one cannot be moved while another start resolves it", () => {
  const deep = join(data, "a/b/c");
  mkdirSync(deep, { recursive: true });
  const found = resolveMounts({ read: [deep], write: [data], home });
  const places = "mounts" in found ? found.mounts.map(({ at, access }) => `${access} ${at}`) : [];
  assert.deepEqual(places.sort(), [`read ${deep}`, ...["", "/a", "/a/b"].map((part) => `write ${data}${part}`)]);
});

test("neither the vault's key is opened, nor the rules for writing", () => {
  const key = join(base, "person/work/kek");
  const rules = join(data, "doorward.yaml");
  for (const file of [key, rules]) writeFileSync(file, "");
  const places = { home, hidden: [key], fixed: [rules] };
  for (const path of [key, join(base, "person/work")])
    assert.match(faultOf(resolveMounts({ read: [path], write: [], ...places })) ?? "", /the key of Doorward's vault/);
  for (const path of [rules, data])
    assert.match(faultOf(resolveMounts({ read: [], write: [path], ...places })) ?? "", /write doorward\.yaml/);
  assert.equal(faultOf(resolveMounts({ read: [data], write: [], ...places })), undefined);
});

test("a program's files bring in neither the home nor what a server made a link of, but installed packages", () => {
  const packages = join(home, "packages/p");
  mkdirSync(packages, { recursive: true });
  symlinkSync("../../person", join(data, "a/node_modules"));
  const program = (path: string, more = {}) => resolveProgramMounts([path], { read: [], write: [], home, ...more });
  assert.deepEqual(program(packages), { mounts: [{ source: packages, at: packages, access: "read" }] });
  assert.match(faultOf(program(join(home, "audit"))) ?? "", /the Doorward home/);
  assert.match(faultOf(program(join(data, "a/node_modules"))) ?? "", /the Doorward home/);
  assert.match(faultOf(program(join(data, "out"), { others: [data] })) ?? "", /a link that a server may change/);
  assert.deepEqual(program(join(data, "a/node_modules"), { write: [data] }), { mounts: [] });
});

test("a name that begins alike does not lie within", () => {
  assert.ok(within("/a/b", "/a/b"));
  assert.ok(within("/a/b", "/a/b/..c"));
  assert.ok(!within("/a/b", "/a/bc"));
  assert.ok(!within("/a/b", "/a"));
});
