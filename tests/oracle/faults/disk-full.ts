import { systemClock } from "@hl/core/clock.ts";
import { until } from "@hl/testkit/waiting.ts";
import { SmallDisk } from "../small-disk.ts";
import type { Fault } from "./fault.ts";

/** More than what the daemon needs to compare behind the welcome. */
const comparedMs = 500;

/** No byte is left where the daemon keeps its database, its tokens and the output of commands (S4). */
export const diskFull: Fault = {
  name: "disk full",
  lane: "daemon",
  weight: 1,
  msMin: 1_000,
  msMax: 5_000,
  // Delivered events go for new ones then. A cloud that was restored and has not compared yet cannot have them again: that is told as a
  // gap (ADR 15, event-spool.test.ts), and no loss that this test may count.
  alone: true,
  missing: ({ disk }) => (disk instanceof SmallDisk ? undefined : disk),
  run: async ({ disk, traffic, daemon, operator }, forMs) => {
    if (!(disk instanceof SmallDisk)) throw new Error(disk);
    await operator.online();
    await until("the daemon to be connected", async () => {
      const { result } = await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health" });
      return result.service_status.api_connection === "connected";
    });
    await systemClock.sleep(comparedMs);
    const before = traffic.refused;
    disk.fill();
    await systemClock.sleep(forMs);
    disk.free();
    return traffic.refused - before;
  },
};
