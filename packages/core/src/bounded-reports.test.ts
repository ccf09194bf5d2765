/** Goal: S2: reports by the thousand become a few reports and a count, and none is lost from the count. Method: a clock moved by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { BoundedReports } from "./bounded-reports.ts";

test("S2: each kind is told once in a window, up to the limit of kinds; the rest is counted at its end", async () => {
  const clock = new ManualClock();
  const [told, rest]: [string[], number[]] = [[], []];
  const reports = new BoundedReports<string>({
    clock,
    windowMs: 1_000,
    toldMax: 3,
    keyOf: (text) => text,
    tell: (text) => void told.push(text),
    tellRest: (count) => void rest.push(count),
  });
  for (const text of ["a", "a", "b", "c", "d", "a"]) reports.report(text);
  assert.deepEqual([told, rest], [["a", "b", "c"], []]);
  await clock.advance(1_000);
  assert.deepEqual(rest, [3]);
  reports.report("a");
  assert.deepEqual(told, ["a", "b", "c", "a"]);
  await clock.advance(1_000);
  assert.deepEqual(rest, [3], "a window in which all were told says nothing more");
  reports.report("x");
  reports.report("x");
  reports[Symbol.dispose]();
  assert.deepEqual([rest, clock.timers], [[3, 1], 0]);
});
