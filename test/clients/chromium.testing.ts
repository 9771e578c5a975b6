import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { plainEnvironment, run } from "../harness/run.testing.ts";

/** What a browser answers a command with. */
// biome-ignore lint/suspicious/noExplicitAny: the protocol has thousands of shapes, and a test looks at few.
type Answer = any;

/** A real browser without a screen, driven over the DevTools protocol; gone with its files afterwards. */
export interface Chromium extends AsyncDisposable {
  /** A page with cookies of its own. */
  newPage(): Promise<ChromiumPage>;
}

/** One page, as a person uses it: what is looked for is what stands there. */
export interface ChromiumPage {
  /** What the browser complained of: exceptions, errors on the console, violations of the page's own policy. */
  readonly faults: readonly string[];
  open(url: string): Promise<void>;
  /** Waits until the page, loaded, says this. @returns All that it says. */
  see(text: string): Promise<string>;
  /** The value of an expression in the page. */
  evaluate<T>(expression: string): Promise<T>;
  /** Clicks, with a mouse, on the control with this label. */
  click(label: string): Promise<void>;
  /** Types into the control with this label. */
  fill(label: string, text: string): Promise<void>;
  /** Presses a key, as on a keyboard. */
  key(name: "Tab" | "Enter"): Promise<void>;
  type(text: string): Promise<void>;
  /** A PNG of the whole page at this width in pixels. */
  picture(width: number): Promise<Buffer>;
  /** Any command of the protocol. */
  send(method: string, params?: object): Promise<Answer>;
}

/** @returns The program's name; `undefined` where there is none. */
export async function findChromium(): Promise<string | undefined> {
  for (const name of ["chromium", "chromium-browser", "google-chrome"]) {
    const ran = await run(name, ["--version"]).catch(() => undefined);
    if (ran?.status === 0) return name;
  }
  return undefined;
}

const SWITCHES = [
  "--headless=new",
  "--remote-debugging-port=0",
  // As root, as in a container, it has no sandbox of its own; it opens our pages alone.
  "--no-sandbox",
  "--disable-dev-shm-usage",
  "--disable-gpu",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  "--no-first-run",
  "--no-proxy-server",
  "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE localhost, EXCLUDE 127.0.0.1",
];

export async function startChromium(program: string): Promise<Chromium> {
  const folder = mkdtempSync(join(tmpdir(), "doorward-chromium-"));
  const child = spawn(program, [...SWITCHES, `--user-data-dir=${folder}`, "about:blank"], {
    env: plainEnvironment({ HOME: folder, XDG_CONFIG_HOME: folder, XDG_CACHE_HOME: folder }),
    stdio: ["ignore", "ignore", "pipe"],
  });
  const ended = new Promise((done) => child.on("close", done));
  const wire = await openWire(await addressOf(child));
  return {
    newPage: () => newPage(wire),
    async [Symbol.asyncDispose]() {
      await wire.send("Browser.close").catch(() => child.kill("SIGKILL"));
      await ended;
      rmSync(folder, { recursive: true, force: true, maxRetries: 5 });
    },
  };
}

function addressOf(child: ChildProcess): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    child.stderr!.setEncoding("utf8").on("data", (chunk: string) => {
      said += chunk;
      const url = /DevTools listening on (ws:\S+)\s/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
    child.on("error", reject);
    child.on("close", (status) => reject(new Error(`the browser ended with ${status}: ${said}`)));
  });
}

interface Wire {
  send(method: string, params?: object, sessionId?: string): Promise<Answer>;
  listen(sessionId: string, heard: (method: string, params: Answer) => void): void;
}

async function openWire(url: string): Promise<Wire> {
  const socket = new WebSocket(url);
  const waiting = new Map<number, PromiseWithResolvers<Answer>>();
  const listeners = new Map<string, (method: string, params: Answer) => void>();
  let last = 0;
  socket.onmessage = ({ data }) => {
    const { id, sessionId, method, params, result, error } = JSON.parse(String(data));
    if (method !== undefined) return listeners.get(sessionId)?.(method, params);
    if (error === undefined) waiting.get(id)?.resolve(result);
    else waiting.get(id)?.reject(new Error(error.message));
    waiting.delete(id);
  };
  socket.onclose = () => {
    for (const one of waiting.values()) one.reject(new Error("the browser is gone"));
  };
  await new Promise((resolve, reject) => {
    socket.onopen = resolve;
    socket.onerror = reject;
  });
  return {
    listen: (sessionId, heard) => void listeners.set(sessionId, heard),
    send(method, params = {}, sessionId = undefined) {
      const answer = Promise.withResolvers<Answer>();
      waiting.set(++last, answer);
      socket.send(JSON.stringify({ id: last, method, params, sessionId }));
      return answer.promise;
    },
  };
}

async function newPage(wire: Wire): Promise<ChromiumPage> {
  const { browserContextId } = await wire.send("Target.createBrowserContext");
  const { targetId } = await wire.send("Target.createTarget", { url: "about:blank", browserContextId });
  const { sessionId } = await wire.send("Target.attachToTarget", { targetId, flatten: true });
  const send = (method: string, params?: object) => wire.send(method, params, sessionId);
  const faults: string[] = [];
  wire.listen(sessionId, (method, params) => {
    const fault = faultIn(method, params);
    if (fault !== undefined) faults.push(fault);
  });
  for (const domain of ["Page", "Runtime", "Log", "Audits", "Accessibility"]) await send(`${domain}.enable`);
  return pageOf(send, faults);
}

function faultIn(method: string, params: Answer): string | undefined {
  if (method === "Runtime.exceptionThrown") return `exception: ${params.exceptionDetails.exception?.description}`;
  if (method === "Runtime.consoleAPICalled" && params.type !== "log") return `console: ${JSON.stringify(params.args)}`;
  if (method === "Log.entryAdded" && ["error", "warning"].includes(params.entry.level)) {
    return `${params.entry.source}: ${params.entry.text} ${params.entry.url ?? ""}`;
  }
  if (method === "Audits.issueAdded") return `issue: ${JSON.stringify(params.issue)}`;
  return undefined;
}

const KEYS = {
  Tab: { code: "Tab", windowsVirtualKeyCode: 9 },
  Enter: { code: "Enter", windowsVirtualKeyCode: 13, text: "\r" },
};

/** How long something is tried that a page on its way may not have yet: far beyond what a busy machine needs. */
const WAIT_MS = 30_000;

async function patiently<T>(said: () => Promise<unknown>, attempt: () => Promise<T>): Promise<T> {
  for (const end = Date.now() + WAIT_MS; ; ) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > end) throw new Error(`${String(error)}; the page: ${await said()}`, { cause: error });
      await new Promise((resolve) => setTimeout(resolve, 20));
    }
  }
}

function pageOf(send: ChromiumPage["send"], faults: readonly string[]): ChromiumPage {
  const evaluate = async (expression: string): Promise<Answer> => {
    const { result, exceptionDetails } = await send("Runtime.evaluate", {
      expression,
      returnByValue: true,
      awaitPromise: true,
    });
    if (exceptionDetails !== undefined)
      throw new Error(exceptionDetails.exception?.description ?? exceptionDetails.text);
    return result.value;
  };
  /** What assistive programs find: a control that has no label is not found. */
  const find = async (label: string): Promise<number> => {
    const { root } = await send("DOM.getDocument");
    const { nodes } = await send("Accessibility.queryAXTree", { nodeId: root.nodeId, accessibleName: label });
    const found = nodes.find((node: Answer) => !node.ignored && /button|link|textbox|combobox/i.test(node.role.value));
    if (found === undefined) throw new Error(`nothing is labelled \`${label}\``);
    return found.backendDOMNodeId;
  };
  const said = () => evaluate(`document.readyState === "complete" ? document.body.innerText : ""`);
  const click = async (label: string) => {
    const backendNodeId = await find(label);
    await send("DOM.scrollIntoViewIfNeeded", { backendNodeId });
    const { quads } = await send("DOM.getContentQuads", { backendNodeId });
    const [left, top, , , right, bottom] = quads[0];
    const at = { x: (left + right) / 2, y: (top + bottom) / 2, button: "left", clickCount: 1 };
    for (const type of ["mousePressed", "mouseReleased"]) await send("Input.dispatchMouseEvent", { type, ...at });
  };
  return {
    faults,
    send,
    evaluate,
    async open(url) {
      const { errorText } = await send("Page.navigate", { url });
      if (errorText !== undefined) throw new Error(`${url}: ${errorText}`);
      // What stood there before is gone by now.
      await patiently(said, async () => {
        if ((await evaluate("document.readyState")) !== "complete") throw new Error(`${url} is not loaded`);
      });
    },
    see: (text) =>
      patiently(said, async () => {
        const all = String(await said());
        if (!all.includes(text)) throw new Error(`the page does not say \`${text}\``);
        return all;
      }),
    click: (label) => patiently(said, () => click(label)),
    fill: (label, text) =>
      patiently(said, async () => {
        await send("DOM.focus", { backendNodeId: await find(label) });
        await send("Input.insertText", { text });
      }),
    async key(name) {
      for (const type of ["keyDown", "keyUp"]) await send("Input.dispatchKeyEvent", { type, key: name, ...KEYS[name] });
    },
    type: (text) => send("Input.insertText", { text }),
    async picture(width) {
      await send("Emulation.setDeviceMetricsOverride", {
        width,
        height: 900,
        deviceScaleFactor: 1,
        mobile: width < 600,
      });
      const { data } = await send("Page.captureScreenshot", { format: "png", captureBeyondViewport: true });
      return Buffer.from(data, "base64");
    },
  };
}
