import type { Clock } from "@hl/core/clock.ts";
import { Progress } from "../health/progress.ts";
import type { Database } from "../store/database.ts";

/** What the watchdog is fed by: the store, and that no service has ended by itself, which only a new process starts again. */
export function composeProgress(clock: Clock, database: Database, isServing: () => boolean): Progress {
  return new Progress({
    clock,
    probes: {
      // Writes nothing, and waits its turn behind whoever does: a sync that never ends is seen. A disk in trouble has answered (S4), and
      // only a real write may say that it works again.
      store: async () =>
        database.isBeingSaved || database.trouble !== undefined || (await database.write(() => true, "committed")),
      supervisor: async () => isServing(),
    },
  });
}
