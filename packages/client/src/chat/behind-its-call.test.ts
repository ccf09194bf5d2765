/** Goal: A3: a request is shown behind its tool call, and in any case. Method: both ways in every order; time by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { BehindItsCall } from "./behind-its-call.ts";

const request = (approval_id: string, state = "pending", tool_use_id?: string): Approval =>
  ({ approval_id, state, ...(tool_use_id === undefined ? {} : { tool_use_id }) }) as Approval;

function gate(): { readonly it: BehindItsCall; readonly shown: string[]; readonly clock: ManualClock } {
  const clock = new ManualClock();
  const shown: string[] = [];
  const it = new BehindItsCall(clock, ({ approval_id, state }) => void shown.push(`${approval_id} ${state}`));
  return { it, shown, clock };
}

test("waits for its call, with what becomes of it meanwhile; what has no call, or one that was told, waits for nothing", () => {
  const { it, shown } = gate();
  it.take(request("one", "pending", "call-1"));
  it.take(request("two"));
  it.take(request("one", "approved", "call-1"));
  assert.deepEqual(shown, ["two pending"]);
  it.told("call-1");
  assert.deepEqual(shown, ["two pending", "one pending", "one approved"]);
  it.take(request("three", "pending", "call-1"));
  assert.equal(shown.at(-1), "three pending");
});

test("is shown after a second, and at the end of the turn, without its call", async () => {
  const { it, shown, clock } = gate();
  it.take(request("one", "pending", "call-1"));
  await clock.advance(999);
  assert.deepEqual(shown, []);
  await clock.advance(1);
  assert.deepEqual(shown, ["one pending"]);
  it.take(request("two", "pending", "call-2"));
  it.turnEnded();
  assert.deepEqual(shown, ["one pending", "two pending"]);
});

test("a new connection tells everything again: what waits is forgotten", async () => {
  const { it, shown, clock } = gate();
  it.take(request("one", "pending", "call-1"));
  it.reset();
  await clock.advance(2_000);
  it.told("call-1");
  assert.deepEqual(shown, []);
});
