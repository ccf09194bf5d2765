import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** The daemon stands still, as in a VM that is paused; longer than the cloud's and its own patience. */
export const daemonStop: Fault = {
  name: "daemon paused",
  lane: "daemon",
  weight: 1,
  msMin: 1_000,
  msMax: 5_000,
  run: async ({ daemon }, forMs) => {
    const { program } = daemon;
    program.signal("SIGSTOP");
    await systemClock.sleep(forMs);
    program.signal("SIGCONT");
    return 1;
  },
};
