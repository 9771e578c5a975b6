import assert from "node:assert/strict";
import { test } from "node:test";
import { bwrapArguments, type SandboxPlan } from "./bwrap-arguments.ts";

const PLAN: SandboxPlan = {
  root: {
    entries: [
      { path: "/usr", linkTo: undefined },
      { path: "/bin", linkTo: "usr/bin" },
    ],
    settings: ["/etc/ssl/certs"],
    masks: ["/proc/kcore"],
  },
  mounts: [
    { source: "/data/in/deep", at: "/data/in/deep", access: "write" },
    { source: "/data/in", at: "/data/in", access: "read" },
  ],
  proxySocket: "/home/d/proxy.sock",
  files: [{ path: "/home/x/token", content: "ghp_placeholder", mode: 0o400 }],
  env: new Map([["TOKEN", "ghp_placeholder"]]),
  cwd: "/tmp",
  session: "new" as const,
};
const FDS = { info: 5, go: 6, seccomp: 7, firstFile: 8 };
const { args, contents } = bwrapArguments(PLAN, FDS);
const joined = ` ${args.join(" ")} `;

test("every namespace is its own, nothing is shared and no capability is kept", () => {
  for (const option of ["--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--cap-drop ALL"])
    assert.ok(joined.includes(` ${option} `), option);
  assert.ok(joined.includes(" --uid 65534 --gid 65534 "));
  assert.ok(!joined.includes("--share-net"));
});

test("the filter is loaded, and what holds the child is told", () => {
  assert.ok(joined.includes(" --seccomp 7 "));
  assert.ok(joined.includes(" --info-fd 5 --block-fd 6 "));
});

test("the host's folders are read-only, and only the declared one is writable", () => {
  const writable = args.flatMap((arg, at) => (arg === "--bind" ? [args[at + 2]] : []));
  assert.deepEqual(writable, ["/data/in/deep"]);
  assert.ok(joined.includes(" --ro-bind /usr /usr --symlink usr/bin /bin "));
  assert.ok(!joined.includes("--dev-bind"));
});

test("a wide mount comes before a narrow one in it", () => {
  assert.ok(joined.indexOf("--ro-bind /data/in /data/in") < joined.indexOf("--bind /data/in/deep"));
});

test("root, devices and /proc are read-only at the end: root's child could write the host's settings in /proc/sys", () => {
  assert.ok(joined.includes(" --remount-ro /dev --remount-ro /proc --remount-ro / "));
  const last = joined.indexOf("--remount-ro /dev");
  for (const option of ["--bind ", "--ro-bind ", "--tmpfs ", "--file ", "--ro-bind-data "])
    assert.ok(joined.lastIndexOf(` ${option}`) < last, option);
});

test("a file is fed through a descriptor of its own, with its mode", () => {
  const at = args.indexOf("/home/x/token");
  const [perms, mode, option, fd] = args.slice(at - 4, at);
  assert.deepEqual([perms, mode, option], ["--perms", "0400", "--ro-bind-data"]);
  assert.equal(contents[Number(fd) - FDS.firstFile], "ghp_placeholder");
  assert.ok(!contents.some((content, index) => index > 0 && content === contents[index - 1]));
});

test("scratch has a size", () => assert.match(joined, / --perms 1777 --size \d+ --tmpfs \/tmp /));

test("without a proxy there is no socket inside", () => {
  const alone = bwrapArguments({ ...PLAN, proxySocket: undefined }, FDS).args;
  assert.ok(!alone.includes("/run/doorward/proxy.sock"));
  assert.ok(args.includes("/run/doorward/proxy.sock"));
});
