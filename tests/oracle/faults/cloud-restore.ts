import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** The cloud's machine is lost, and what comes instead is an older copy: it has forgotten what it has acknowledged since. */
export const cloudRestore: Fault = {
  name: "cloud restored from an older copy",
  lane: "cloud",
  weight: 1,
  msMin: 1_000,
  msMax: 8_000,
  run: async ({ cloud, traffic }, forMs) => {
    const backup = await cloud.backup();
    const before = traffic.accepted;
    await systemClock.sleep(forMs);
    await cloud.restore(backup);
    return traffic.accepted - before;
  },
};
