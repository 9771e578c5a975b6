import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { test } from "node:test";
import { readEnvironment } from "../config/environment.ts";
import { buildProgram } from "./build-program.ts";
import { printCompletion } from "./completion.ts";
import { CommandFailure } from "./exit-status.ts";
import { createTerminal } from "./terminal.ts";

const environment = readEnvironment({ HOME: "/nonexistent" });
const program = buildProgram({
  environment,
  terminal: createTerminal(environment),
  openApplication: () => Promise.reject(new Error("no command is run here")),
});

function completeInBash(words: readonly string[]): readonly string[] {
  const script = `${printCompletion(program, "bash")}
COMP_WORDS=(${words.map((word) => `"${word}"`).join(" ")}); COMP_CWORD=${words.length - 1}; _doorward; printf '%s\\n' "\${COMPREPLY[@]}"`;
  return execFileSync("bash", ["-c", script], { encoding: "utf8" })
    .split("\n")
    .filter((line) => line !== "");
}

test("bash completes commands, sub-commands and options of this very tree", () => {
  assert.deepEqual(completeInBash(["doorward", "se"]), ["serve", "service", "secret"]);
  assert.deepEqual(completeInBash(["doorward", "secret", "r"]), ["rotate", "remove"]);
  assert.deepEqual(completeInBash(["doorward", "secret", "set", "--fr"]), ["--from-env", "--from-file"]);
  assert.deepEqual(completeInBash(["doorward", "--json", "audit", "ver"]), ["verify"]);
});

test("what is not built is not offered", () => {
  assert.deepEqual(completeInBash(["doorward", "imp"]), []);
});

test("zsh takes bash's, fish has its own, and another shell is told so", () => {
  assert.match(printCompletion(program, "zsh"), /bashcompinit/);
  assert.match(printCompletion(program, "fish"), /__fish_seen_subcommand_from secret" -a "set rotate/);
  assert.throws(
    () => printCompletion(program, "powershell"),
    (error) => error instanceof CommandFailure && error.status === 2,
  );
});
