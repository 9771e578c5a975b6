/** The sandbox, built by the bubblewrap of this machine. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { closeSync, existsSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { Problem } from "../../src/base/problem.ts";
import { createSandbox } from "../../src/sandbox/create-sandbox.ts";
import { cannotRun, endOf, folders, runInside, sandbox, specOf } from "./live-sandbox.ts";

const live = { skip: cannotRun };

test("a child speaks over its standard streams and its status comes out", live, async () => {
  const child = await sandbox.start(specOf(["/bin/sh", "-c", "cat; echo err >&2; exit 7"]));
  assert.equal(child.mode, "strict");
  child.stdin.end("in and out");
  assert.deepEqual(await endOf(child), { out: "in and out", err: "err\n", code: 7, signal: null });
});

test("it has its own variables and no others, in no process that it sees", live, async () => {
  const { out } = await runInside("cat /proc/[0-9]*/environ | tr '\\0' '\\n' | cut -d= -f1 | sort -u", {
    env: new Map([["OWN", "1"]]),
  });
  assert.deepEqual(out.trim().split("\n"), ["HOME", "LANG", "OWN", "PATH", "PWD", "TMPDIR"]);
});

test("no descriptor of the daemon is passed on, also not one that it was itself given", live, async () => {
  const { out } = await runInside("ls -l /proc/$$/fd > /tmp/seen; tail -n +2 /tmp/seen | sed 's/.* -> //'");
  const kinds = out
    .trim()
    .split("\n")
    .filter((line) => !/^socket:|^\/dev\/null$|^\/tmp\/seen$/.test(line));
  assert.deepEqual(kinds, []);
});

test("declared folders are there, the one to read cannot be written, and nothing else is there", live, async () => {
  writeFileSync(join(folders.read, "a"), "readable", { mode: 0o600 });
  const config = { read: [folders.read], write: [folders.write] };
  const script = `cat ${folders.read}/a; echo x > ${folders.write}/b; echo y > ${folders.read}/c; ls ${folders.base}; ls /root /home /var 2>&1 | wc -l`;
  const { out } = await runInside(script, { config });
  assert.equal(out, "readableread\nwrite\n3\n");
  assert.equal(readFileSync(join(folders.write, "b"), "utf8"), "x\n");
  assert.ok(!existsSync(join(folders.read, "c")));
});

test("no set-user-id program is left in a writable folder", live, async () => {
  const { out } = await runInside(`cd ${folders.write}; cp /bin/true t; chmod 755 t && chmod 4755 t || echo refused`, {
    config: { write: [folders.write] },
  });
  assert.equal(out, "refused\n");
  assert.equal(statSync(join(folders.write, "t")).mode & 0o6000, 0);
});

test("files that exist inside only are read-only there", live, async () => {
  const files = [{ path: "/home/x/.token", content: "placeholder", mode: 0o400 }];
  const { out } = await runInside("cat /home/x/.token; echo z > /home/x/.token || rm -f /home/x/.token || echo kept", {
    files,
  });
  assert.equal(out, "placeholderkept\n");
});

test("a program outside the system's folders is seen, and what stands beside it is not", live, async () => {
  writeFileSync(join(folders.base, "server.cjs"), "console.log(require('fs').readdirSync(__dirname).join())");
  writeFileSync(join(folders.base, "beside"), "");
  const program = join(folders.base, "server.cjs");
  const child = await sandbox.start(specOf(["node", program], { programFiles: [program] }));
  assert.equal((await endOf(child)).out, "server.cjs\n");
});

test("the one way out is the proxy's socket; whoever is first finds it open", live, async () => {
  const path = join(folders.home, "proxy.sock");
  const asked: string[] = [];
  const proxy = createServer((request, response) => {
    asked.push(request.url ?? "");
    response.end("through the proxy");
  });
  proxy.on("connect", (request, socket: Socket) => {
    asked.push(`CONNECT ${request.url}`);
    socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
  });
  await once(proxy.listen(path), "listening");
  const script = `const net = require("net").connect(3128, "127.0.0.1", () => net.end("GET http://a.example/x HTTP/1.1\\r\\nHost: a.example\\r\\nConnection: close\\r\\n\\r\\n")); net.pipe(process.stdout)`;
  const first = await sandbox.start(specOf(["node", "-e", script], { proxySocket: path, proxyCaPem: "pem" }));
  assert.match((await endOf(first)).out, /through the proxy/);
  const second = await sandbox.start(
    specOf(["node", "-e", "fetch('https://b.example/').catch((e) => console.log('refused'))"], { proxySocket: path }),
  );
  assert.equal((await endOf(second)).out, "refused\n");
  assert.deepEqual(asked, ["http://a.example/x", "CONNECT b.example:443"]);
  proxy.close();
  rmSync(path, { force: true });
});

test("the proxy's authority and address are where programs look", live, async () => {
  const path = join(folders.home, "proxy2.sock");
  const proxy = createServer();
  await once(proxy.listen(path), "listening");
  const { out } = await runInside('cat "$SSL_CERT_FILE"; echo " $HTTPS_PROXY"', {
    proxySocket: path,
    proxyCaPem: "PEM",
  });
  assert.equal(out, "PEM http://127.0.0.1:3128\n");
  proxy.close();
});

test("what cannot be built starts nothing and says why", live, async () => {
  const refused = (over: Parameters<typeof specOf>[1], why: RegExp) =>
    assert.rejects(
      sandbox.start(specOf(["true"], over)),
      (error) => error instanceof Problem && why.test(error.message),
    );
  await refused({ config: { read: [folders.home] } }, /would open the Doorward home/);
  await refused({ config: { read: ["/nowhere"] } }, /does not exist/);
  await refused({ cwd: folders.base }, /working folder/);
  await refused({ programFiles: ["/nowhere"] }, /program file/);
  await refused({ files: [{ path: "/usr/made", content: "" }] }, /could not be built.*\/usr\/made/);
});

test("degraded is strict where that can be had", live, async () => {
  const child = await sandbox.start(specOf(["true"], { config: { mode: "degraded" } }));
  assert.equal(child.mode, "strict");
  await child.exited;
});

test("a descriptor that the daemon was started with is covered", live, async () => {
  // Node opens with close-on-exec; what a shell passes on has none, as this one, which a child of ours is given.
  const file = openSync(join(folders.home, "secret"), "w");
  const program = `
    const { createSandbox } = await import(${JSON.stringify(new URL("../../src/sandbox/create-sandbox.ts", import.meta.url).href)});
    const child = await createSandbox({ home: "/nowhere", path: "/usr/bin" }).start(${JSON.stringify(
      specOf(["/bin/ls", "-l", "/proc/self/fd"]),
    ).replace('"env":{}', '"env":new Map()')});
    child.stdout.pipe(process.stdout);
    await child.exited;`;
  const { spawn } = await import("node:child_process");
  const daemon = spawn(process.execPath, ["--input-type=module", "-e", program], {
    stdio: [
      "ignore",
      "pipe",
      "inherit",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      "ignore",
      file,
    ],
  });
  let out = "";
  daemon.stdout?.on("data", (chunk) => {
    out += chunk;
  });
  await once(daemon, "close");
  closeSync(file);
  assert.match(out, /socket:/);
  assert.ok(!out.includes("secret"), out);
});

test("fifty lives leave no process, no group, no descriptor and no file behind", live, async () => {
  const traces = () => ({
    descriptors: readdirSync("/proc/self/fd").length,
    groups: ["pids", "cpu", "memory", "unified", "."].flatMap((folder) => {
      const path = join("/sys/fs/cgroup", folder);
      return existsSync(path) ? readdirSync(path).filter((name) => name.startsWith(`doorward-${process.pid}-`)) : [];
    }),
    children: readdirSync("/proc").filter((pid) => /^\d+$/.test(pid) && childOfOurs(pid)),
  });
  const own = createSandbox({ home: folders.home, path: "" });
  await (await own.start(specOf(["true"]))).exited;
  const before = traces();
  for (let i = 0; i < 50; i++) {
    const child = await own.start(specOf(["/bin/sh", "-c", "sleep 100 & (setsid sleep 100 &) ; cat"]));
    child.stdout.resume();
    child.stderr.resume();
    await child.stop(0);
  }
  await new Promise((resolve) => setImmediate(resolve));
  const left = traces();
  assert.deepEqual(left.groups, before.groups);
  assert.deepEqual(left.children, before.children);
  assert.ok(left.descriptors <= before.descriptors + 4, `${before.descriptors} descriptors, then ${left.descriptors}`);
});

function childOfOurs(pid: string): boolean {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
    return stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1] === String(process.pid);
  } catch {
    return false;
  }
}
