/**
 * Goal: the oracle would see a loss, a double, a change, an invention. Method: each is planted in a ledger that is clean otherwise.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { CommandLedger } from "./command-ledger.ts";
import { EventLedger } from "./event-ledger.ts";
import { bytesOf, eventBytesMax, eventId, eventOf } from "./payload.ts";

const ids = Array.from({ length: 40 }, (_, number) => eventId("seed", number))
  .filter((id) => bytesOf(eventOf(id)) <= eventBytesMax)
  .slice(0, 20);
const [first = ""] = ids;

function clean(): EventLedger {
  const ledger = new EventLedger();
  for (const [at, id] of ids.entries()) ledger.accepted(id, at + 1);
  return ledger;
}

test("S1: all accepted and delivered once is clean", () => {
  const ledger = clean();
  for (const id of ids) ledger.delivered(eventOf(id));
  const { issued, accepted, delivered, refused, atLimit: _at, overLimit: _over, ...wrong } = ledger.verdict();
  assert.deepEqual([issued, accepted, delivered, refused], [20, 20, 20, 0]);
  assert.deepEqual(wrong, { missing: [], toldMissing: [], doubled: [], corrupt: [], spurious: [], misjudged: [] });
});

test("S2: an event over the limit that is taken, one at the limit that is not, and a refusal without a code of its own are found", () => {
  const ofSize = (bytes: number): string => {
    for (let number = 0; ; number += 1) {
      const id = eventId("sizes", number);
      if (bytesOf(eventOf(id)) === bytes) return id;
    }
  };
  const [atLimit, over] = [ofSize(eventBytesMax), ofSize(eventBytesMax + 1)];
  const right = new EventLedger();
  right.accepted(atLimit, 1);
  right.refused(over, 1402);
  right.refused(first, 1401);
  right.refused(first, 1505);
  const { misjudged, atLimit: accepted, overLimit: refused } = right.verdict();
  assert.deepEqual([misjudged, accepted, refused], [[], 1, 1]);
  const wrong = new EventLedger();
  wrong.accepted(over, 1);
  wrong.refused(atLimit, 1402);
  wrong.refused(first, -32603);
  assert.deepEqual(wrong.verdict().misjudged, [
    `${over}: accepted`,
    `${atLimit}: refused with 1402, ${eventBytesMax} bytes`,
    `${first}: refused with -32603, ${bytesOf(eventOf(first))} bytes`,
  ]);
});

test("S2: only a gap that names its lane and its number excuses a loss, and of two numbers it has to name both", () => {
  const lost = (
    gaps: readonly { lane: "session" | "log" | null; from: number | null; to: number | null }[],
  ): number => {
    const ledger = clean();
    ledger.accepted(first, 30); // Its first answer was lost.
    for (const id of ids.slice(1)) ledger.delivered(eventOf(id));
    for (const gap of gaps) ledger.told(gap);
    const { missing, toldMissing } = ledger.verdict();
    assert.equal(missing.length + toldMissing.length, 1);
    return missing.length;
  };
  const both = [
    { lane: "session", from: 1, to: 1 },
    { lane: null, from: 29, to: 31 },
  ] as const;
  assert.equal(lost(both), 0);
  assert.equal(lost(both.slice(0, 1)), 1);
  assert.equal(lost([{ lane: "log", from: 1, to: 40 }]), 1);
  assert.equal(lost([{ lane: "session", from: 2, to: 40 }]), 1);
  assert.equal(lost([{ lane: null, from: null, to: null }]), 1);
});

test("S1: a planted loss and a planted double are found", () => {
  const ledger = clean();
  for (const id of ids.slice(1)) ledger.delivered(eventOf(id));
  ledger.delivered(eventOf(ids[5] ?? ""));
  const { missing, doubled } = ledger.verdict();
  assert.deepEqual([missing, doubled], [[first], [ids[5]]]);
});

test("S1: a change of one byte, of the type, of the time or of another's payload is found", () => {
  const event = eventOf(first);
  const changes = [
    { ...event, data: { text: `${event.data.text}x` } },
    { ...event, data: { text: event.data.text, more: 1 } },
    { ...event, event_type: "oracle.other" },
    { ...event, timestamp: event.timestamp + 0.001 },
    { ...event, severity: "error" },
    { ...event, data: eventOf(ids[1] ?? "").data },
  ];
  for (const change of changes) {
    const ledger = clean();
    ledger.delivered(change);
    assert.deepEqual(ledger.verdict().corrupt, [first], JSON.stringify(change).slice(0, 80));
  }
});

test("S2: what nobody issued, and what was refused every time, must not be there; what was perhaps accepted may", () => {
  const ledger = new EventLedger();
  for (const id of ids.slice(0, 3)) ledger.refused(id, 1401);
  ledger.unanswered(ids[1] ?? "");
  for (const id of [...ids.slice(0, 2), eventId("seed", 99)]) ledger.delivered(eventOf(id));
  const { spurious, missing, refused } = ledger.verdict();
  assert.deepEqual([spurious, missing, refused], [[eventId("seed", 99), first], [], 3]);
});

test("C1, C2: planted faults of commands are found", () => {
  const ledger = new CommandLedger();
  const completed = (id: string): { status: string; stdout: string } => ({ status: "completed", stdout: `${id}\n` });
  for (const id of ["well", "nothing", "twice", "endless", "open", "two-ends", "other-output", "unknown", "late"])
    ledger.issued(id);
  for (const id of ["well", "nothing", "twice", "two-ends"]) ledger.ended(id, completed(id));
  ledger.ended("two-ends", { status: "failed", stdout: "" });
  ledger.ended("other-output", completed("well"));
  ledger.ended("unknown", { status: "error 1705", stdout: undefined });
  ledger.ended("late", { status: "error 1705", stdout: undefined });
  ledger.ended("late", completed("late"));
  ledger.acknowledged("endless");
  for (const id of ["well", "two-ends", "other-output", "unknown", "late"]) ledger.effects(id, 1);
  ledger.effects("twice", 2);
  ledger.effects("nobody", 1);
  const verdict = ledger.verdict();
  assert.deepEqual(verdict, {
    issued: 9,
    acknowledged: 8,
    completed: 6,
    uncertain: 1,
    effects: 7,
    withoutEffect: ["nothing"],
    repeated: ["twice"],
    endless: ["endless"],
    contradictory: ['two-ends: completed "two-ends\\n", failed ""', 'other-output: completed "well\\n"'],
    spurious: ["nobody"],
    endings: { completed: 5, failed: 1, "error 1705": 1, none: 2 },
  });
});
