import { FailingDisk, type DiskFailures } from "@hl/testkit/failing-disk.ts";
import { systemClock } from "@hl/core/clock.ts";
import type { Fault } from "./fault.ts";

/** What is called on the daemon's own data fails, in the middle of whatever it does. */
function failing(name: string, failures: DiskFailures): Fault {
  return {
    name,
    lane: "daemon",
    weight: 1,
    msMin: 500,
    msMax: 4_000,
    missing: ({ failingDisk }) => (failingDisk instanceof FailingDisk ? undefined : failingDisk),
    run: async ({ failingDisk, daemon }, forMs, random) => {
      if (!(failingDisk instanceof FailingDisk)) throw new Error(failingDisk);
      const before = failingDisk.failed;
      failingDisk.set(failures);
      await systemClock.sleep(forMs);
      // Now and then a power cut ends it: what was not synced is nobody's then.
      const cut = random.next() < 0.3;
      if (cut) await daemon.kill();
      failingDisk.set({});
      if (cut) await daemon.restart();
      return failingDisk.failed - before;
    },
  };
}

export const diskFailing: readonly Fault[] = [
  failing("EIO when written", { write: "EIO" }),
  failing("EIO when synced", { sync: "EIO" }),
  failing("EIO for everything", { write: "EIO", sync: "EIO", change: "EIO" }),
  failing("read-only", { write: "EROFS", sync: "EROFS", change: "EROFS" }),
];
