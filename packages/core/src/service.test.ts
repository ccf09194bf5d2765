/** Goal: the written contract of a service: `done` settles exactly once, disposing waits, is idempotent and never throws. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { LoopService, settledWithin } from "./service.ts";

class Loop extends LoopService {
  override readonly name = "loop";
  readonly #run: (signal: AbortSignal) => Promise<void>;

  constructor(run: (signal: AbortSignal) => Promise<void>) {
    super();
    this.#run = run;
  }

  protected override run(signal: AbortSignal): Promise<void> {
    return this.#run(signal);
  }
}

const untilAborted = (signal: AbortSignal): Promise<void> =>
  new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(signal.reason)));

test("a stop is no failure: done resolves, disposing waits for the loop's own end and may be repeated", async () => {
  let ended = false;
  const loop = new Loop(async (signal) => {
    await untilAborted(signal).catch(() => {});
    await new Promise(setImmediate);
    ended = true;
    throw new Error("torn down roughly");
  });
  await loop.start();
  await Promise.all([loop[Symbol.asyncDispose](), loop[Symbol.asyncDispose]()]);
  assert.ok(ended);
  await loop.done;
  await loop[Symbol.asyncDispose]();
});

test("a failure rejects done, also one that is thrown at once, and disposing does not throw it again", async () => {
  const failures = [
    async () => Promise.reject(new Error("broken")),
    () => {
      throw new Error("broken");
    },
  ];
  for (const fail of failures) {
    const loop = new Loop(fail);
    await loop.start();
    await assert.rejects(loop.done, /broken/);
    await loop[Symbol.asyncDispose]();
  }
});

test("a loop that returns has done its work; a second start is a mistake", async () => {
  const loop = new Loop(async () => {});
  await loop.start();
  await loop.done;
  assert.throws(() => void loop.start(), /loop was started twice/);
});

test("one that never started is done when it is disposed", async () => {
  const loop = new Loop(untilAborted);
  await loop[Symbol.asyncDispose]();
  await loop.done;
});

test("settledWithin tells whether a promise settled in time, however it did, and frees its timer", async () => {
  const clock = new ManualClock();
  assert.equal(await settledWithin(clock, 10, Promise.resolve()), true);
  assert.equal(await settledWithin(clock, 10, Promise.reject(new Error("broken"))), true);
  const late = settledWithin(clock, 10, new Promise(() => {}));
  await clock.advance(10);
  assert.equal(await late, false);
  assert.equal(clock.timers, 0);
});
