import { systemClock } from "@hl/core/clock.ts";
import { SmallDisk } from "../small-disk.ts";
import type { Fault } from "./fault.ts";

/** No file can be made where the daemon keeps its database and its tokens, and its runner the output of commands; there is room for bytes. */
export const diskInodes: Fault = {
  name: "no inodes",
  lane: "daemon",
  weight: 1,
  msMin: 2_000,
  msMax: 6_000,
  missing: ({ disk }) => (disk instanceof SmallDisk ? undefined : disk),
  run: async ({ disk, traffic }, forMs) => {
    if (!(disk instanceof SmallDisk)) throw new Error(disk);
    const before = traffic.refused;
    disk.takeInodes();
    await systemClock.sleep(forMs);
    disk.freeInodes();
    return traffic.refused - before;
  },
};
