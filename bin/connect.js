/**
 * `doorward connect --agent NAME`: what an MCP client starts. A relay between its stdio and the daemon's socket.
 *
 * Plain JavaScript over two modules of Node, because a client waits for it at every start. The agent's key is read from
 * the home, so that none stands in the client's configuration.
 */
import { readFileSync } from "node:fs";
import { connect } from "node:net";
import { homedir, tmpdir } from "node:os";
import { homePaths } from "./home-paths.js";

/** How long a daemon that is being started may take to listen. */
const START_TIMEOUT_MS = 15_000;
const RETRY_MS = 50;

const USAGE = "usage: doorward connect --agent NAME [--home DIR]\n";

const args = readArguments(process.argv.slice(3));
const paths = await homePaths(
  args,
  { home: process.env["DOORWARD_HOME"] || undefined, userHome: process.env["HOME"] || homedir() },
  { temporary: tmpdir(), uid: process.getuid?.() },
);
const key = readKey(args.agent);
relay(connect(paths.socket), Date.now() + START_TIMEOUT_MS);

/** @param {string[]} words */
function readArguments(words) {
  /** @type {{ agent: string, home: string | undefined, config: string | undefined }} */
  const found = { agent: "", home: undefined, config: undefined };
  for (let i = 0; i < words.length; i++) {
    const [name, inline] = /** @type {string} */ (words[i]).split(/=(.*)/s, 2);
    if (name === "--help" || name === "-h") {
      process.stdout.write(
        `${USAGE}\nRelays MCP between stdio and the daemon, and starts the daemon when none runs.\n\n` +
          "Example, in an MCP client's configuration:\n" +
          '  { "command": "doorward", "args": ["connect", "--agent", "claude"] }\n',
      );
      process.exit(0);
    }
    const value = inline ?? words[++i];
    if ((name !== "--agent" && name !== "--home" && name !== "--config") || value === undefined || value === "")
      fail(USAGE, 2);
    found[/** @type {"agent" | "home" | "config"} */ (name.slice(2))] = value;
  }
  if (!/^[a-z][a-z0-9-]*$/.test(found.agent)) fail(USAGE, 2);
  return found;
}

/** @param {string} agent */
function readKey(agent) {
  try {
    return readFileSync(`${paths.agents}/${agent}.key`, "utf8").trim();
  } catch {
    return fail(
      `doorward: there is no key for the agent \`${agent}\` in ${paths.agents}; run \`doorward agent key ${agent}\`\n`,
      2,
    );
  }
}

/**
 * @param {import("node:net").Socket} socket
 * @param {number} deadline
 * @param {boolean} [started]
 */
function relay(socket, deadline, started = false) {
  let head = "";
  let finished = false;
  socket.once("connect", () => {
    socket.write(
      "GET /stdio HTTP/1.1\r\nHost: doorward\r\nConnection: Upgrade\r\nUpgrade: doorward-stdio\r\n" +
        `Authorization: Bearer ${key}\r\n\r\n`,
    );
    process.stdin.pipe(socket);
    process.stdin.on("end", () => {
      finished = true;
    });
  });
  socket.on("data", function readHead(/** @type {Buffer} */ chunk) {
    head += chunk.toString("latin1");
    const end = head.indexOf("\r\n\r\n");
    if (end === -1) return;
    socket.removeListener("data", readHead);
    if (!head.startsWith("HTTP/1.1 101")) return refused(head, socket);
    const rest = Buffer.from(head.slice(end + 4), "latin1");
    if (rest.length > 0) process.stdout.write(rest);
    socket.pipe(process.stdout);
    // The client has gone: there is nobody to tell.
    process.stdout.on("error", () => process.exit(0));
    socket.on("close", () => (finished ? process.exit(0) : fail("doorward: the daemon ended the connection\n", 1)));
  });
  socket.on("error", (/** @type {NodeJS.ErrnoException} */ error) => {
    const absent = error.code === "ENOENT" || error.code === "ECONNREFUSED";
    if (!absent || Date.now() > deadline) fail(`doorward: the daemon cannot be reached: ${error.message}\n`, 1);
    if (!started) startDaemon();
    setTimeout(() => relay(connect(paths.socket), deadline, true), RETRY_MS);
  });
}

/**
 * @param {string} head
 * @param {import("node:net").Socket} socket
 */
function refused(head, socket) {
  let text = head;
  socket.on("data", (chunk) => {
    text += chunk.toString("latin1");
  });
  socket.on("close", () => {
    let detail = text.split("\r\n", 1)[0];
    try {
      const problem = JSON.parse(text.slice(text.indexOf("\r\n\r\n") + 4));
      detail = `${problem.detail}. ${problem.remedy}`;
    } catch {}
    fail(`doorward: ${detail}\n`, 3);
  });
}

async function startDaemon() {
  const { spawn } = await import("node:child_process");
  const { fileURLToPath } = await import("node:url");
  const words = [fileURLToPath(new URL("./doorward.js", import.meta.url)), "serve", "--home", paths.home];
  if (args.config !== undefined) words.push("--config", args.config);
  const daemon = spawn(process.execPath, words, { detached: true, stdio: ["ignore", "ignore", "inherit"] });
  daemon.on("exit", (code) => {
    // Another relay may have started one at the same moment: then that one holds the home.
    if (code === 2) fail("doorward: the daemon does not start with this configuration\n", 2);
    if (code !== 0 && code !== null) process.stderr.write(`doorward: the daemon ended with status ${code}\n`);
  });
  daemon.unref();
}

/**
 * @param {string} message
 * @param {number} status
 * @returns {never}
 */
function fail(message, status) {
  process.stderr.write(message);
  process.exit(status);
}
