/** Goal: P5, P7: a reader that takes nothing delays nobody and fills nothing, and still hears the end of what it was told of. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Approval, ApprovalState } from "@hl/protocol/methods/approval-list.ts";
import { settled } from "@hl/testkit/manual-clock.ts";
import { Followers } from "./followers.ts";

const approval = (id: string, state: ApprovalState, process_id = "p"): Approval =>
  ({ approval_id: id, state, process_id }) as unknown as Approval;

function follow(followers: Followers, processId?: string) {
  const told: string[] = [];
  const gate = Promise.withResolvers<undefined>();
  const stop = new AbortController();
  const done = followers.follow({
    ...{ processId, pending: [approval("first", "pending"), approval("other", "pending", "q")] },
    notify: async ({ approval_id, state }) => {
      told.push(`${approval_id} ${state}`);
      await gate.promise;
    },
    signal: stop.signal,
  });
  return { told, resume: () => gate.resolve(undefined), stop: () => stop.abort(), done };
}

test("of requests that came and went unheard, a hundred ends are kept for a slow reader, and all of what it has heard", async () => {
  const followers = new Followers();
  const reader = follow(followers, "p");
  await settled();
  for (let n = 0; n < 1_000; n += 1) {
    followers.changed(approval(`a${n}`, "pending"));
    followers.changed(approval(`a${n}`, "denied"));
  }
  followers.changed(approval("waits", "pending"));
  followers.changed(approval("first", "approved"));
  reader.resume();
  await settled();
  assert.equal(reader.told.length, 1 + 100 + 2);
  assert.deepEqual(
    [reader.told[0], reader.told[1], ...reader.told.slice(-2)],
    ["first pending", "a0 denied", "waits pending", "first approved"],
  );
  reader.stop();
  await reader.done;
});

test("only of the agent that was asked for; a reader that leaves is told nothing more", async () => {
  const followers = new Followers();
  const reader = follow(followers, "p");
  reader.resume();
  followers.changed(approval("elsewhere", "pending", "q"));
  await settled();
  assert.deepEqual(reader.told, ["first pending"]);
  reader.stop();
  await reader.done;
  followers.changed(approval("late", "pending"));
  await settled();
  assert.deepEqual(reader.told, ["first pending"]);
});
