import { lanes, type Lane, type LanesAcked } from "@hl/protocol/event-lanes.ts";
import type { LaneUse } from "./lane-use.ts";

/**
 * Whether the cloud has, as the newest of some lane, what was never here under that number: this database was rolled back or copied, and the numbers
 * of its epoch were used twice (S3). A number whose event is forgotten here counts as such too, unless it is the newest that is: below it there may be
 * others of which nobody knows. The newest of each lane is enough: what the cloud lacks below one that is ours is sent again, and meets there what
 * else has its number. An older cloud names no events; of its numbers only those are strange that nobody has given.
 */
export function areNumbersUsedTwice(use: LaneUse, { lanes: cursors, event_ids: ids }: LanesAcked): boolean {
  const isOurs = (lane: Lane, seq: number): boolean => {
    if (seq > use.acked(lane) && !use.isWaiting(lane, seq)) return false;
    const id = ids?.[lane];
    return id === undefined || use.isOf(lane, seq, id);
  };
  return lanes.some((lane) => {
    const seq = cursors[lane] ?? 0;
    return seq > 0 && !isOurs(lane, seq);
  });
}
