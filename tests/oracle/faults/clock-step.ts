import { systemClock } from "@hl/core/clock.ts";
import { WallClock } from "../wall-clock.ts";
import type { Fault } from "./fault.ts";

/** The daemon's wall clock is an hour, or ten years, away, and comes back. */
export const clockStep: Fault = {
  name: "clock stepped",
  lane: "daemon",
  weight: 1,
  msMin: 2_000,
  msMax: 5_000,
  missing: ({ wallClock }) => (wallClock instanceof WallClock ? undefined : wallClock),
  run: async ({ wallClock }, forMs, random) => {
    if (!(wallClock instanceof WallClock)) throw new Error(wallClock);
    wallClock.step(random.pick([3_600, -3_600, 10 * 365 * 86_400]));
    await systemClock.sleep(forMs);
    wallClock.step(0);
  },
};
