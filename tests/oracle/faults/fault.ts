import type { FaultKind } from "../schedule.ts";
import type { Random } from "../random.ts";
import type { World } from "../world.ts";

/** A kind of fault: how often and how long it comes, and what it does. */
export interface Fault extends FaultKind {
  /** Why it cannot be had here; undefined where it can. */
  readonly missing?: (world: World) => string | undefined;
  /** No other fault is under way meanwhile. */
  readonly alone?: boolean;
  /**
   * Does it for so long, and takes it away again. Resolves with how much it has hit: connections, answers, failed calls, refusals; 1 where
   * it hits by being there. What has hit nothing was no test.
   */
  readonly run: (world: World, forMs: number, random: Random) => Promise<number>;
}
