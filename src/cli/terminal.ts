import { closeSync, openSync } from "node:fs";
import { ReadStream, WriteStream } from "node:tty";
import type { Environment } from "../config/environment.ts";
import { printable } from "./printable.ts";

/** Where a command's words go: data on stdout, talk on stderr, questions on the terminal itself. */
export interface Terminal {
  /** Data: what a pipe wants. */
  print(text: string): void;
  /** Talk: what a person reads. */
  say(text: string): void;
  /** Whether talk goes to a person who can see colours. */
  readonly colours: boolean;
  readonly interactive: boolean;
  /** Reads stdin to its end, up to a limit. */
  readStdin(limitBytes: number): Promise<Buffer>;
  /** Asks without echo, on the controlling terminal; `undefined` when there is none. */
  askHidden(question: string): Promise<string | undefined>;
}

export function createTerminal(environment: Environment): Terminal {
  return {
    print: (text) => void process.stdout.write(`${text}\n`),
    say: (text) => void process.stderr.write(`${printable(text)}\n`),
    colours: process.stderr.isTTY === true && !environment.noColor,
    interactive: process.stdin.isTTY === true && process.stderr.isTTY === true,
    readStdin,
    askHidden,
  };
}

async function readStdin(limitBytes: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of process.stdin as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limitBytes) throw new Error(`stdin holds more than ${limitBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

/** Reads one line from `/dev/tty` in raw mode, so that neither a pipe nor a screen sees it. */
async function askHidden(question: string): Promise<string | undefined> {
  let descriptor: number;
  try {
    descriptor = openSync("/dev/tty", "r+");
  } catch {
    return undefined;
  }
  const input = new ReadStream(descriptor);
  const output = new WriteStream(openSync("/dev/tty", "w"));
  try {
    // The echo goes first: what is typed ahead must not be seen either.
    input.setRawMode(true);
    output.write(question);
    return await readLine(input);
  } finally {
    input.setRawMode(false);
    input.destroy();
    output.write("\n");
    output.end();
    try {
      closeSync(descriptor);
    } catch {
      // the stream has closed it already
    }
  }
}

const CTRL_C = 3;
const CTRL_D = 4;
const BACKSPACES = [8, 127];
const LINE_ENDS = [10, 13];

function readLine(input: ReadStream): Promise<string | undefined> {
  return new Promise((resolve) => {
    const bytes: number[] = [];
    input.on("data", (chunk: Buffer) => {
      for (const byte of chunk) {
        if (byte === CTRL_C || byte === CTRL_D) return resolve(undefined);
        if (LINE_ENDS.includes(byte)) return resolve(Buffer.from(bytes).toString("utf8"));
        if (BACKSPACES.includes(byte)) bytes.pop();
        else bytes.push(byte);
      }
    });
    input.on("end", () => resolve(undefined));
  });
}
