import type { JsonObject, JsonValue } from "../base/json.ts";
import { Problem } from "../base/problem.ts";
import type { Snapshot } from "../policy/snapshot.ts";
import type { Pins, PinView } from "../upstreams/pins.ts";
import type { Upstreams } from "../upstreams/upstreams.ts";
import { type AdminAction, optionalText, textArgument } from "./admin-action.ts";

/** `service.pins`, `service.pin.accept`: what of a server's definitions was accepted, and what waits for a person. */
export function pinActions(deps: {
  readonly pins: Pins;
  readonly upstreams: Pick<Upstreams, "surfaceChanged" | "stopService">;
  readonly snapshot: () => Snapshot;
  readonly now: () => Date;
}): readonly AdminAction[] {
  const { pins, upstreams, now } = deps;
  const serverOf = (args: JsonObject): string => {
    const name = textArgument(args, "name");
    const config = deps.snapshot().services.get(name)?.config;
    if (config?.kind === "mcp") return name;
    throw new Problem("not_found", {
      detail: `there is no MCP server \`${name.slice(0, 64)}\``,
      remedy: "See `doorward service list`.",
    });
  };
  return [
    { name: "service.pins", proof: "key", run: (args) => ({ pins: pins.list(serverOf(args)) }) },
    {
      name: "service.pin.accept",
      proof: "owner",
      async run(args, by) {
        const name = serverOf(args);
        const accepted: PinView[] = [];
        for (const item of chosenItems(args, pins.list(name)))
          accepted.push(...(await pins.accept(name, item, by, now())));
        if (accepted.length > 0) {
          // A server that still runs with what was accepted before would be held anew.
          await upstreams.stopService(name);
          upstreams.surfaceChanged(name);
        }
        return { service: name, accepted };
      },
    },
  ];
}

interface Chosen {
  readonly kind: string;
  readonly name: string;
  readonly digest: string | undefined;
}

/**
 * `kind` and `item` name one; `items` lists those that were looked at, each with its digest; nothing means all that is held.
 *
 * @throws {Problem} `invalid_request`.
 */
function chosenItems(args: JsonObject, known: readonly PinView[]): readonly Chosen[] {
  const { items } = args;
  const kind = optionalText(args, "kind");
  if (kind !== undefined) return [{ kind, name: textArgument(args, "item"), digest: optionalText(args, "digest") }];
  if (items === undefined)
    return known.filter(({ state }) => state === "held").map(({ kind, name, digest }) => ({ kind, name, digest }));
  if (!Array.isArray(items)) throw new Problem("invalid_request", { detail: "`items` must be a list" });
  return items.map((item: JsonValue) => {
    if (typeof item !== "object" || item === null || Array.isArray(item))
      throw new Problem("invalid_request", { detail: "each of `items` must be an object" });
    const one = item as JsonObject;
    return { kind: textArgument(one, "kind"), name: textArgument(one, "name"), digest: textArgument(one, "digest") };
  });
}
