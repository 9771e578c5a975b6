import { createZoneClock, WEEKDAYS } from "./zone-clock.ts";

/** A weekly window, compiled from `Mon-Fri 08:00-19:00 Europe/Berlin`. */
export interface Hours {
  readonly text: string;
  /** The end is exclusive. The wall clock of the zone counts, so that a day of 23 or 25 hours needs no thought. */
  contains(now: Date): boolean;
}

const DAY_MINUTES = 24 * 60;

/**
 * Parses a weekly window: days (`Mon-Fri`, `Sat,Sun`, `Mon,Wed-Fri`; `*` or none: every day), from and to, and a zone (none: UTC).
 *
 * A window whose end is not after its start runs over midnight and belongs to the day on which it began:
 * `Fri 22:00-06:00` holds on Saturday at 05:59. `24:00` is the end of a day.
 */
export function parseHours(text: string): { ok: true; hours: Hours } | { ok: false; problem: string } {
  const match = /^(?:(\S+) )?(\d{2}):(\d{2})-(\d{2}):(\d{2})(?: (\S+))?$/.exec(text.trim().replace(/ +/g, " "));
  if (match === null) return { ok: false, problem: `\`${text}\` is not a weekly window` };
  const [, dayText = "*", ...rest] = match;
  const days = parseDays(dayText.toLowerCase());
  if (days === undefined) return { ok: false, problem: `\`${dayText}\` are not days` };
  const from = parseMinutes(rest[0], rest[1]);
  const to = parseMinutes(rest[2], rest[3]);
  if (from === undefined || to === undefined || from === DAY_MINUTES) {
    return { ok: false, problem: `\`${text}\` holds a time that no clock shows` };
  }
  if (from === to) return { ok: false, problem: `\`${text}\` begins when it ends` };
  const zone = rest[4] ?? "UTC";
  const clock = createZoneClock(zone);
  if (clock === undefined) return { ok: false, problem: `\`${zone}\` is not a time zone` };

  const contains = (now: Date): boolean => {
    const { hour, minute, weekday } = clock(now);
    const at = hour * 60 + minute;
    if (from < to) return days.has(weekday) && at >= from && at < to;
    return (days.has(weekday) && at >= from) || (days.has((weekday + 6) % 7) && at < to);
  };
  return { ok: true, hours: { text, contains } };
}

function parseDays(text: string): ReadonlySet<number> | undefined {
  if (text === "*") return new Set([0, 1, 2, 3, 4, 5, 6]);
  const days = new Set<number>();
  for (const item of text.split(",")) {
    const [first = "", last = first, ...more] = item.split("-");
    const from = WEEKDAYS.indexOf(first as (typeof WEEKDAYS)[number]);
    const to = WEEKDAYS.indexOf(last as (typeof WEEKDAYS)[number]);
    if (from < 0 || to < 0 || more.length > 0) return undefined;
    for (let day = from; ; day = (day + 1) % 7) {
      days.add(day);
      if (day === to) break;
    }
  }
  return days;
}

/** Minutes since midnight; `undefined` for what is not on a clock. */
function parseMinutes(hours = "", minutes = ""): number | undefined {
  const at = Number(hours) * 60 + Number(minutes);
  return Number(minutes) < 60 && at <= DAY_MINUTES ? at : undefined;
}
