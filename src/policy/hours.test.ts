import assert from "node:assert/strict";
import { test } from "node:test";
import { parseHours } from "./hours.ts";
import { createZoneClock } from "./zone-clock.ts";

function contains(text: string, at: string): boolean {
  const parsed = parseHours(text);
  assert.ok(parsed.ok, text);
  return parsed.hours.contains(new Date(at));
}

test("a window holds from its first minute to before its last", () => {
  const cases: [string, string, boolean][] = [
    ["Mon-Fri 08:00-19:00", "2026-11-20T07:59:59.999Z", false],
    ["Mon-Fri 08:00-19:00", "2026-11-20T08:00:00Z", true],
    ["Mon-Fri 08:00-19:00", "2026-11-20T18:59:59.999Z", true],
    ["Mon-Fri 08:00-19:00", "2026-11-20T19:00:00Z", false],
    ["Mon-Fri 08:00-19:00", "2026-11-21T12:00:00Z", false],
    ["Mon,Wed 09:00-12:00 UTC", "2026-11-18T09:00:00Z", true],
    ["Mon,Wed 09:00-12:00 UTC", "2026-11-17T09:00:00Z", false],
    ["Sat-Mon 00:00-24:00", "2026-11-22T23:59:00Z", true],
    ["Sat-Mon 00:00-24:00", "2026-11-24T00:00:00Z", false],
    ["* 12:00-13:00", "2026-11-24T12:30:00Z", true],
    ["12:00-13:00 UTC", "2026-11-24T12:30:00Z", true],
    ["12:00-13:00 UTC", "2026-11-24T13:00:00Z", false],
  ];
  for (const [text, at, expected] of cases) assert.equal(contains(text, at), expected, `${text} at ${at}`);
});

test("a window over midnight belongs to the day on which it began", () => {
  assert.equal(contains("Fri 22:00-06:00", "2026-11-20T22:00:00Z"), true);
  assert.equal(contains("Fri 22:00-06:00", "2026-11-21T05:59:00Z"), true);
  assert.equal(contains("Fri 22:00-06:00", "2026-11-21T06:00:00Z"), false);
  assert.equal(contains("Fri 22:00-06:00", "2026-11-20T05:00:00Z"), false);
  assert.equal(contains("Fri 22:00-06:00", "2026-11-21T23:00:00Z"), false);
});

test("the wall clock of the zone counts, in summer as in winter", () => {
  const text = "Mon-Fri 08:00-19:00 Europe/Berlin";
  assert.equal(contains(text, "2026-07-15T06:00:00Z"), true);
  assert.equal(contains(text, "2026-07-15T05:59:00Z"), false);
  assert.equal(contains(text, "2026-01-15T06:30:00Z"), false);
  assert.equal(contains(text, "2026-01-15T07:00:00Z"), true);
  // The hour that comes twice on the last Sunday of October is inside both times.
  assert.equal(contains("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T00:30:00Z"), true);
  assert.equal(contains("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T01:30:00Z"), true);
  assert.equal(contains("Sun 02:00-03:00 Europe/Berlin", "2026-10-25T02:00:00Z"), false);
});

test("midnight is hour 0 of the new day", () => {
  const wall = createZoneClock("America/New_York")?.(new Date("2026-01-05T05:00:00Z"));
  assert.deepEqual([wall?.day, wall?.hour, wall?.weekday], [5, 0, 1]);
});

test("what is not a window is a fault", () => {
  const bad = [
    "",
    "Mon-Fri",
    "Mon-Fri 8:00-19:00",
    "Mon-Fri 08:00-25:00",
    "Mon-Fri 08:60-19:00",
    "Mon-Fri 24:00-06:00",
    "Mon-Fri 08:00-08:00",
    "Mon-Fri 08:00-19:00 Berlin",
    "Mon-Fri 08:00-19:00 +02:00",
    "Mon--Fri 08:00-19:00",
    "Mon-Wed-Fri 08:00-19:00",
    "Moon 08:00-19:00",
    "Mon, 08:00-19:00",
  ];
  for (const text of bad) assert.equal(parseHours(text).ok, false, text);
});
