import { systemClock } from "@hl/core/clock.ts";
import { http } from "@hl/testkit/http.ts";
import { WallClock } from "../wall-clock.ts";
import type { World } from "../world.ts";
import type { Fault } from "./fault.ts";

const minute = 60;
const hour = 60 * minute;
const tenYears = 10 * 365 * 24 * hour;
/** The library looks at its file once a second. */
const noticedMs = 1_500;

/** The daemon's wall clock is away, and comes back. */
export const clockStep: Fault = stepped("clock stepped", {
  lane: "daemon",
  clockOf: ({ wallClock }) => wallClock,
  steps: [2 * minute, -2 * minute, hour, -hour, 6 * hour, -6 * hour, tenYears],
  timeOf: async ({ daemon }) => (await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/ping" })).timestamp,
});

/** The cloud's: not by more than what it keeps things for, or it would rightly forget them. */
export const cloudClockStep: Fault = stepped("cloud's clock stepped", {
  lane: "cloud",
  clockOf: ({ cloudClock }) => cloudClock,
  steps: [2 * minute, -2 * minute, hour, -hour, 6 * hour, -6 * hour],
  timeOf: async ({ cloud }) => (await http(`${cloud.url}/v1/vm/heartbeat`, { body: {} })).json.timestamp,
});

interface Stepped {
  readonly lane: Fault["lane"];
  readonly clockOf: (world: World) => WallClock | string;
  /** Seconds. */
  readonly steps: readonly number[];
  /** What its owner takes for the time. */
  readonly timeOf: (world: World) => Promise<number>;
}

function stepped(name: string, { lane, clockOf, steps, timeOf }: Stepped): Fault {
  return {
    name,
    lane,
    weight: 1,
    msMin: 2_000,
    msMax: 5_000,
    missing: (world) => {
      const clock = clockOf(world);
      return clock instanceof WallClock ? undefined : clock;
    },
    run: async (world, forMs, random) => {
      const clock = clockOf(world);
      if (!(clock instanceof WallClock)) throw new Error(clock);
      const step = random.pick(steps);
      clock.step(step);
      await systemClock.sleep(Math.max(noticedMs, forMs));
      const time = await timeOf(world).catch(() => Number.NaN);
      clock.step(0);
      return Math.abs(time - Date.now() / 1_000 - step) < minute ? 1 : 0;
    },
  };
}
