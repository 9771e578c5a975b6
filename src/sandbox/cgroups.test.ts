import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { findCgroups } from "./cgroups.ts";

const base = mkdtempSync(join(tmpdir(), "doorward-cgroups-"));
after(() => rmSync(base, { recursive: true, force: true }));
const LIMITS = { memoryBytes: 1_000_000, cpu: 0.5, tasks: 20 };

/** A file tree that looks like a mount of cgroups. */
function mount(name: string, files: Record<string, string>): string {
  const root = join(base, name);
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, ".."), { recursive: true });
    writeFileSync(join(root, path), text);
  }
  return root;
}

const read = (...path: string[]) => readFileSync(join(...path), "utf8");

test("version 2: a delegated group with its controllers on gives a group with all limits", () => {
  const at = mount("two", {
    "cgroup.controllers": "cpu memory pids",
    "mine/cgroup.controllers": "cpu memory pids",
    "mine/cgroup.subtree_control": "cpu memory pids",
    "mine/cgroup.procs": "",
  });
  const groups = findCgroups({ mount: at, own: "0::/mine\n", pid: 7 });
  const group = groups?.create("doorward-x", LIMITS);
  assert.deepEqual([...(group?.holds ?? [])].sort(), ["cpu", "memory", "pids"]);
  assert.deepEqual(group?.entrances, [join(at, "mine/doorward-x/cgroup.procs")]);
  assert.equal(read(at, "mine/doorward-x/memory.max"), "1000000");
  assert.equal(read(at, "mine/doorward-x/pids.max"), "20");
  assert.equal(read(at, "mine/doorward-x/cpu.max"), "50000 100000");
});

test("a process enters every folder of its group", async () => {
  const at = mount("enter", { "memory/cgroup.procs": "", "pids/cgroup.procs": "" });
  const group = findCgroups({ mount: at, own: "4:memory:/\n8:pids:/\n", pid: 7 })?.create("doorward-x", LIMITS);
  await group?.enter(42);
  assert.equal(read(at, "memory/doorward-x/cgroup.procs"), "42");
  assert.equal(read(at, "pids/doorward-x/cgroup.procs"), "42");
});

test("version 2: the daemon alone in its group moves into a leaf, so that the controllers can be turned on", () => {
  const files = {
    "mine/cgroup.controllers": "memory pids",
    "mine/cgroup.subtree_control": "",
    "mine/cgroup.procs": "7\n",
  };
  const at = mount("leaf", { "cgroup.controllers": "", ...files });
  findCgroups({ mount: at, own: "0::/mine\n", pid: 7 });
  assert.equal(read(at, "mine/doorward-daemon/cgroup.procs"), "7");
  assert.equal(read(at, "mine/cgroup.subtree_control"), "+memory +pids");
});

test("version 2: a group that others live in is not divided", () => {
  const files = {
    "mine/cgroup.controllers": "memory pids",
    "mine/cgroup.subtree_control": "",
    "mine/cgroup.procs": "7\n8\n",
  };
  const at = mount("shared", { "cgroup.controllers": "", ...files });
  assert.equal(findCgroups({ mount: at, own: "0::/mine\n", pid: 7 }), undefined);
  assert.ok(!existsSync(join(at, "mine/doorward-daemon")));
});

test("version 1: only hierarchies in whose root the daemon is are used", () => {
  const at = mount("one", { "pids/cgroup.procs": "", "cpu,cpuacct/cgroup.procs": "", "memory/cgroup.procs": "" });
  const own = "8:pids:/\n4:memory:/somebody/made/this\n2:cpu,cpuacct:/\n0::/\n";
  const group = findCgroups({ mount: at, own, pid: 7 })?.create("doorward-x", LIMITS);
  assert.deepEqual([...(group?.holds ?? [])].sort(), ["cpu", "pids"]);
  assert.equal(read(at, "pids/doorward-x/pids.max"), "20");
  assert.equal(read(at, "cpu,cpuacct/doorward-x/cpu.cfs_quota_us"), "50000");
  assert.ok(!existsSync(join(at, "memory/doorward-x")));
});

test("what daemons that are gone left behind is taken away", () => {
  const at = mount("stale", { "pids/cgroup.procs": "" });
  for (const name of ["doorward-99999999-ab", `doorward-${process.pid}-cd`, "other-99999999-ab"])
    mkdirSync(join(at, "pids", name));
  findCgroups({ mount: at, own: "8:pids:/\n", pid: process.pid });
  assert.deepEqual(readdirSync(join(at, "pids")).sort(), [
    "cgroup.procs",
    `doorward-${process.pid}-cd`,
    "other-99999999-ab",
  ]);
});

test("where nothing can be had, nothing is", () => {
  assert.equal(findCgroups({ mount: join(base, "none"), own: "", pid: 7 }), undefined);
});
