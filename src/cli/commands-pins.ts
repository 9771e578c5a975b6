import type { Command } from "commander";
import type { AdminClient } from "./admin-client.ts";
import { type Cli, columns, optionsOf, show, withAdmin } from "./command-context.ts";
import { CommandFailure, EXIT } from "./exit-status.ts";

interface ShownPin {
  readonly kind: string;
  readonly name: string;
  readonly digest: string;
  readonly state: "accepted" | "held";
  readonly why?: string;
  readonly diff?: readonly string[];
  readonly flags?: readonly { readonly flag: string; readonly detail: string }[];
}

/** `doorward service pins`, `doorward service pin accept`: definitions of MCP servers, and those that wait for a person. */
export function addPinCommands(service: Command, cli: Cli): void {
  service
    .command("pins <name>")
    .description("definitions of an MCP server that were accepted, and what changed in those that are held")
    .addHelpText("after", "\nExample:\n  doorward service pins github --json")
    .action(async (name: string, _: unknown, command: Command) => {
      await withAdmin(cli, command, async (admin) => {
        const pins = await pinsOf(admin, name);
        show(cli, command, pins, () => (pins.length === 0 ? ["it was never looked at"] : describePins(name, pins)));
      });
    });

  const pin = service.command("pin").description("answer for what is held");
  pin
    .command("accept <name> [kind] [item]")
    .description("let agents use what is held, as it is now: everything, or one item")
    .option("--digest <digest>", "only if it is still the definition with this digest")
    .addHelpText("after", "\nExample:\n  doorward service pin accept github tool create_issue")
    .action(async (name: string, kind: string | undefined, item: string | undefined, _: unknown, command: Command) => {
      const { digest } = optionsOf<{ readonly digest?: string }>(command);
      if ((kind === undefined) !== (item === undefined))
        throw new CommandFailure(EXIT.usage, "name both KIND and NAME, or none");
      if (digest !== undefined && item === undefined)
        throw new CommandFailure(EXIT.usage, "--digest goes with one item");
      await withAdmin(cli, command, async (admin) => {
        const found = (await pinsOf(admin, name)).filter(
          (one) => item === undefined || (one.kind === kind && one.name === item),
        );
        if (item !== undefined && found.length === 0)
          throw new CommandFailure(
            EXIT.failed,
            `\`${name}\` has no ${kind} \`${item}\`; see \`doorward service pins ${name}\``,
          );
        const held = found.filter(({ state }) => state === "held");
        // What is accepted is what is shown here, even if the server changes again meanwhile.
        const items = held.map((one) => ({ kind: one.kind, name: one.name, digest: digest ?? one.digest }));
        const answer = await admin.run<{ readonly accepted: readonly ShownPin[] }>("service.pin.accept", {
          name,
          items,
        });
        show(
          cli,
          command,
          answer.accepted.map(({ kind: what, name: which, digest: is, state }) => ({
            kind: what,
            name: which,
            digest: is,
            state,
          })),
          () =>
            held.length === 0
              ? ["nothing is held"]
              : [...held.flatMap(describeHeld), `accepted ${answer.accepted.length}`],
        );
      });
    });
}

async function pinsOf(admin: AdminClient, name: string): Promise<readonly ShownPin[]> {
  return (await admin.run<{ readonly pins: readonly ShownPin[] }>("service.pins", { name })).pins;
}

function describePins(name: string, pins: readonly ShownPin[]): readonly string[] {
  const held = pins.filter(({ state }) => state === "held");
  const rows = pins.map((one) => [one.kind, one.name, one.state, one.digest.slice(0, 12), flagsOf(one)]);
  return [
    ...columns([["KIND", "NAME", "STATE", "DIGEST", "FLAGS"], ...rows]),
    ...held.flatMap(describeHeld),
    ...(held.length === 0 ? [] : [`look at it, then \`doorward service pin accept ${name} [KIND NAME]\``]),
  ];
}

function describeHeld(pin: ShownPin): readonly string[] {
  return [
    `${pin.kind} ${pin.name} is held (${pin.why ?? "changed"})`,
    ...(pin.flags ?? []).map(({ flag, detail }) => `  ! ${flag}: ${detail}`),
    ...(pin.diff ?? []).map((line) => `  ${line}`),
  ];
}

function flagsOf({ flags }: ShownPin): string {
  return flags?.map(({ flag }) => flag).join(", ") || "-";
}
