import type { Command } from "commander";
import { CommandFailure, EXIT } from "./exit-status.ts";

/** Writes a completion script from the command tree: commands, sub-commands and long options. */
export function printCompletion(program: Command, shell: string): string {
  const words = paths(program);
  switch (shell) {
    case "bash":
      return bash(words);
    case "zsh":
      return `autoload -U +X bashcompinit && bashcompinit\n${bash(words)}`;
    case "fish":
      return fish(words);
    default:
      throw new CommandFailure(EXIT.usage, `there is no completion for \`${shell}\`; write bash, zsh or fish`);
  }
}

interface Words {
  /** `""` for the program, `secret` or `secret set` below it. */
  readonly path: string;
  readonly words: readonly string[];
}

function paths(command: Command, path = ""): readonly Words[] {
  const children = command.commands.filter((child) => !(child as unknown as { _hidden?: boolean })._hidden);
  const options = command.options.map(({ long }) => long ?? "").filter((long) => long !== "");
  const own = { path, words: [...children.map((child) => child.name()), ...options, "--help"] };
  return [own, ...children.flatMap((child) => paths(child, `${path} ${child.name()}`.trim()))];
}

function bash(words: readonly Words[]): string {
  const cases = words.map(({ path, words: list }) => `    "${path}") words="${list.join(" ")}" ;;`).join("\n");
  return `_doorward() {
  local path="" word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$word" in -*) ;; *) path="\${path:+$path }$word" ;; esac
  done
  case "$path" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -F _doorward doorward`;
}

function fish(words: readonly Words[]): string {
  const lines = words.flatMap(({ path, words: list }) => {
    const plain = list.filter((word) => !word.startsWith("-")).join(" ");
    if (plain === "") return [];
    const when = path === "" ? "__fish_use_subcommand" : `__fish_seen_subcommand_from ${path.split(" ").at(-1)}`;
    return [`complete -c doorward -f -n "${when}" -a "${plain}"`];
  });
  return lines.join("\n");
}
