import { systemClock } from "@hl/core/clock.ts";
import { SmallDisk } from "../small-disk.ts";
import type { Fault } from "./fault.ts";

/** No byte is left where the daemon keeps its database, its tokens and the output of commands (S4). */
export const diskFull: Fault = {
  name: "disk full",
  lane: "daemon",
  weight: 1,
  msMin: 1_000,
  msMax: 5_000,
  missing: ({ disk }) => (disk instanceof SmallDisk ? undefined : disk),
  run: async ({ disk, traffic }, forMs) => {
    if (!(disk instanceof SmallDisk)) throw new Error(disk);
    const before = traffic.refused;
    disk.fill();
    await systemClock.sleep(forMs);
    disk.free();
    return traffic.refused - before;
  },
};
