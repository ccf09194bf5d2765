/** Goal: a figure on its threshold is one alert and not a hundred. Method: figures round by round. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { Measured } from "./measured.ts";

test("above in two rounds in a row is a condition; it ends below 95 % of the threshold, not on it", () => {
  const measured = new Measured();
  const round = (value: number, limit = 80): boolean => {
    measured.round([{ code: "cpu_high", value, limit }]);
    return measured.conditions.length > 0;
  };
  assert.deepEqual([round(81), round(80), round(81)], [false, false, false], "never two in a row");
  assert.ok(round(81));
  assert.deepEqual([round(79), round(76.1)], [true, true]);
  assert.equal(measured.conditions[0]?.text, "76.1 against a threshold of 80 (health_monitoring.alerts.cpu_threshold)");
  assert.ok(!round(76), "at exactly 95 %");
  assert.ok(!round(81), "and counts anew");
});

test("another threshold holds at once, without the margin of the old one; what is not measured any more is no condition", () => {
  const measured = new Measured();
  const round = (value: number, limit: number): boolean => {
    measured.round([{ code: "disk_high", value, limit }]);
    return measured.conditions.length > 0;
  };
  round(99, 90);
  assert.ok(round(99, 90));
  assert.ok(!round(99, 100));
  round(99, 90);
  assert.ok(round(99, 90));
  measured.forget();
  assert.deepEqual(measured.conditions, []);
});
