/** Goal: every type has one lane, whoever sends it. Method: the table, and types that it does not know. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { laneOf, laneOfCaller } from "./event-lanes.ts";

test("a type has the lane of its name, else of its first word, else that of sessions", () => {
  const table = {
    process_end: "critical",
    audit: "critical",
    gap: "critical",
    "approval.requested": "critical",
    "agent.turn_completed": "session",
    error: "log",
    "log.line": "log",
    system_metric: "metric",
    file_change: "metric",
    "bench.sample": "session",
    constructor: "session",
    "__proto__.x": "session",
    "": "session",
  };
  for (const [type, lane] of Object.entries(table)) assert.equal(laneOf(type), lane, type);
});

test("S2: no caller gets into the critical lane, whatever it calls its events", () => {
  for (const type of ["audit", "gap", "process_end", "security.x"]) assert.equal(laneOfCaller(type), "session");
  assert.equal(laneOfCaller("system_metric"), "metric");
});
