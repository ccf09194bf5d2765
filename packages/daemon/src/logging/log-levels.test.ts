import assert from "node:assert/strict";
import { test } from "node:test";
import { LevelGate } from "./log-levels.ts";

test("a level for all, others for parts, and both change at once for who asks later", () => {
  const gate = new LevelGate({ level: "INFO", levels: { cloud: "DEBUG", audit: "FATAL" } });
  const open = (): boolean[] => [
    gate.isOpen("debug", undefined),
    gate.isOpen("info", "commands"),
    gate.isOpen("debug", "cloud"),
    gate.isOpen("error", "audit"),
  ];
  assert.deepEqual(open(), [false, true, true, false]);
  gate.set({ level: "debug", levels: {} });
  assert.deepEqual(open(), [true, true, true, true]);
  gate.set({ level: "ERROR", levels: { constructor: "DEBUG" } });
  assert.deepEqual(open(), [false, false, false, true]);
  assert.equal(gate.isOpen("debug", "toString"), false);
});
