/**
 * Goal: what holds becomes an alert after the hold-off of its check, is told once when it begins and once when it ends, and the verdict
 * follows from the registry alone. Method: the book itself, time by hand.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { healthChecks, healthCodes } from "@hl/protocol/health-checks.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { AlertBook, statusOf, type Condition } from "./alert-book.ts";

function fixture(): { clock: ManualClock; codes: (...conditions: Condition[]) => string[]; told: () => string[] } {
  const clock = new ManualClock();
  const book = new AlertBook(clock);
  return {
    clock,
    codes: (...conditions) => book.alerts(conditions).map(({ code }) => code),
    told: () => book.changes().map(({ change, code, alert }) => `${change} ${code}: ${alert.text}`),
  };
}

test("every check alone gives an alert with the severity, title and remedy of the registry, and the verdict that follows", async () => {
  for (const code of healthCodes) {
    const clock = new ManualClock();
    const book = new AlertBook(clock);
    const { severity, title, remedy, holdOffMs } = healthChecks[code];
    book.alerts([{ code, text: "seen" }]);
    await clock.advance(holdOffMs);
    const [alert] = book.alerts([{ code, text: "seen" }]);
    const { since = 0, ...rest } = alert!;
    assert.deepEqual(rest, { code, severity, title, remedy, text: "seen" });
    assert.equal(since, (clock.wallMs() - holdOffMs) / 1000);
    assert.equal(statusOf([alert!]), severity === "critical" ? "unhealthy" : "degraded");
  }
  assert.equal(statusOf([]), "healthy");
  assert.equal(statusOf([{ severity: "info" }]), "healthy");
});

test("a check with a hold-off is told at exactly its end, and never when it was over before", async () => {
  const f = fixture();
  const lost: Condition = { code: "runner_lost", text: "gone" };
  const { holdOffMs } = healthChecks.runner_lost;
  assert.deepEqual(f.codes(lost), []);
  await f.clock.advance(holdOffMs - 1);
  assert.deepEqual(f.codes(lost), []);
  assert.deepEqual(f.codes(), []);
  await f.clock.advance(1);
  assert.deepEqual(f.codes(lost), [], "it began anew");
  assert.deepEqual(f.told(), []);
  await f.clock.advance(holdOffMs);
  assert.deepEqual(f.codes(lost), ["runner_lost"]);
  assert.deepEqual(f.told(), ["raised runner_lost: gone"]);
  assert.deepEqual(
    f.codes({ ...lost, sinceMs: f.clock.now() - holdOffMs + 1 }),
    [],
    "who knows when it began is believed",
  );
});

test("changes are told once each, of several subjects each for itself", () => {
  const f = fixture();
  const stuck = (subject: string): Condition => ({ code: "agent_stuck", subject, text: subject });
  f.codes(stuck("a"), stuck("b"));
  assert.deepEqual(f.told(), ["raised agent_stuck: a", "raised agent_stuck: b"]);
  assert.deepEqual(f.told(), []);
  f.codes(stuck("b"));
  assert.deepEqual(f.told(), ["cleared agent_stuck: a"]);
  f.codes();
  assert.deepEqual(f.told(), ["cleared agent_stuck: b"]);
});
