import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** kill -9 of the cloud, and a fresh one on the same home. */
export const cloudKill: Fault = {
  name: "cloud killed",
  lane: "cloud",
  weight: 1,
  msMin: 0,
  msMax: 3_000,
  run: async ({ cloud }, forMs) => {
    await cloud.stop("SIGKILL");
    await systemClock.sleep(forMs);
    await cloud.restart();
    return 1;
  },
};
