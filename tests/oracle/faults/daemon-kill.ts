import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** kill -9 of the daemon, and a fresh one on the same home some time later. Its runner and its commands go on. */
export const daemonKill: Fault = {
  name: "daemon killed",
  lane: "daemon",
  weight: 5,
  msMin: 0,
  msMax: 1_500,
  run: async ({ daemon }, forMs) => {
    await daemon.kill();
    await systemClock.sleep(forMs);
    await daemon.restart();
    return 1;
  },
};
