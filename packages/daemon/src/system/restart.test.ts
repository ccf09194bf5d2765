/**
 * Goal: a restart is answered before anything ends, happens once however often it is asked for, and is refused where nothing would start the daemon
 * again. Method: the handler with time by hand; `tests/system/restart.test.ts` has real programs.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, MethodCall } from "@hl/protocol/method.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { restartHandler, takeSupervised } from "./restart.ts";

interface Fixture {
  readonly clock: ManualClock;
  readonly told: Caller[];
  readonly ended: () => number;
  /** The answer is sent, and what was to follow it begins. */
  readonly sendAnswer: () => Promise<void>;
  readonly ask: () => Promise<object>;
}

function fixture({ isSupervised = true, isStopping = false, canStream = true } = {}): Fixture {
  const clock = new ManualClock();
  const told: Caller[] = [];
  const producers: (() => Promise<void>)[] = [];
  let ended = 0;
  const handler = restartHandler({
    clock,
    restart: isSupervised ? () => (ended += 1) : undefined,
    isStopping: () => isStopping,
    describe: () => ({ pid: 7, started_at: 1, commands_running: 2, agents_running: 1 }),
    onAsked: (caller) => told.push(caller),
  });
  const caller: Caller = { role: "admin", subject: "anna", via: "socket" };
  const stream = (produce: (signal: AbortSignal) => Promise<void>): void => {
    if (canStream) producers.push(() => produce(new AbortController().signal));
  };
  return {
    ...{ clock, told, ended: () => ended },
    sendAnswer: async () => {
      await Promise.all(producers.splice(0).map((produce) => produce()));
    },
    ask: () => handler({}, { caller, stream } as unknown as MethodCall),
  };
}

const refused =
  (type: string) =>
  (error: unknown): boolean =>
    error instanceof HlError && error.type === type;

test("it ends when its answer is on its way, and once, whoever asks meanwhile", async () => {
  const f = fixture();
  const answer = await f.ask();
  assert.deepEqual(answer, { status: "restarting", pid: 7, started_at: 1, commands_running: 2, agents_running: 1 });
  assert.equal(f.ended(), 0);
  assert.deepEqual(await f.ask(), answer);
  await f.sendAnswer();
  assert.equal(f.ended(), 1);
  await f.clock.advance(60_000);
  assert.deepEqual([f.ended(), f.told.length, f.told[0]?.subject], [1, 1, "anna"]);
});

test("a caller that has gone, or gets nothing but an answer, holds it up for a second", async () => {
  const f = fixture({ canStream: false });
  await f.ask();
  await f.clock.advance(999);
  assert.equal(f.ended(), 0);
  await f.clock.advance(1);
  assert.equal(f.ended(), 1);
});

test("refused: without a supervisor, and of a daemon that was told to stop; nothing ends and nothing is told", async () => {
  for (const [state, type] of [
    [{ isSupervised: false }, "not_supervised"],
    [{ isStopping: true }, "shutting_down"],
  ] as const) {
    // prettier-ignore
    const f = fixture(state);
    await assert.rejects(f.ask(), refused(type));
    await f.sendAnswer();
    await f.clock.advance(60_000);
    assert.deepEqual([f.ended(), f.told], [0, []]);
  }
});

test("attack: only the very value of the variable says that somebody supervises, and it is handed on to nobody", () => {
  const of = (value: string | undefined): unknown => {
    const env: Record<string, string | undefined> = { HL_SUPERVISED: value, PATH: "/bin" };
    return [takeSupervised(env), Object.keys(env)];
  };
  assert.deepEqual(of("1"), [true, ["PATH"]]);
  for (const value of ["", "0", "true", "1 ", undefined]) assert.deepEqual(of(value), [false, ["PATH"]]);
});
