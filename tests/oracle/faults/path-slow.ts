import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** One byte a second: enough to look alive. */
export const pathSlow: Fault = {
  name: "path slow",
  lane: "path",
  weight: 1,
  msMin: 1_000,
  msMax: 6_000,
  run: async ({ proxy }, forMs) => {
    const before = proxy.hits;
    proxy.set({ kind: "slow" });
    await systemClock.sleep(forMs);
    proxy.set({ kind: "open" });
    return proxy.hits - before;
  },
};
