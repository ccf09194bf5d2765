/** Goal: S2: refused connections fill no log, and whom rules refuse hides nothing that is told of callers on this machine. Method: time by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLogger } from "@hl/core/logger.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { refusalReports } from "./refusal-reports.ts";

test("S2: twenty of a minute are told and the rest is counted, apart for those whom a rule refuses", async () => {
  const clock = new ManualClock();
  const told: unknown[][] = [];
  const warn = (fields: Readonly<Record<string, unknown>>, text: string): void =>
    void told.push([fields["why"] ?? fields["count"], text]);
  using reports = refusalReports({ ...silentLogger, warn }, clock);
  for (let at = 0; at < 25; at += 1) {
    reports.report("by_rule", `10.0.0.${at}`, "a rule");
    reports.report("by_rule", `10.0.0.${at}`, "a rule");
  }
  reports.report("no_room", "unix socket");
  assert.deepEqual(
    told.map(([why]) => why),
    [...Array.from({ length: 20 }, () => "by_rule"), "no_room"],
  );
  await clock.advance(60_000);
  assert.deepEqual(told.slice(21), [[30, "more connections to the HTTP port were refused by rules"]]);
});
