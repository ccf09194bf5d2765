import { lanes, type Lane, type LanesAcked } from "@hl/protocol/event-lanes.ts";
import type { LaneUse } from "./lane-use.ts";

/**
 * Whether the cloud has of some lane what is not here, or another event under a number that is: this database was rolled back or copied, and the
 * numbers of its epoch were used twice (S3). The newest of each lane is enough: what the cloud lacks below it is sent again, and meets there what
 * else has its number.
 */
export function areNumbersUsedTwice(use: LaneUse, { lanes: cursors, event_ids: ids }: LanesAcked): boolean {
  const isUnknown = (lane: Lane, seq: number): boolean => seq > use.acked(lane) && !use.isWaiting(lane, seq);
  const isAnother = (lane: Lane, seq: number): boolean => {
    const [here, there] = [use.idOf(lane, seq), ids?.[lane]];
    return here !== undefined && there !== undefined && here !== there;
  };
  return lanes.some((lane) => {
    const seq = cursors[lane] ?? 0;
    return isUnknown(lane, seq) || isAnother(lane, seq);
  });
}
