import { lanes, type Lane } from "@hl/protocol/event-lanes.ts";
import type { EventSpool } from "../store/event-spool.ts";
import type { SpooledEvent } from "../store/spooled-event.ts";

export interface BatchLimits {
  readonly eventsMax: number;
  /** Of the events' JSON; a single event may be larger. */
  readonly bytesMax: number;
}

/** What a lane is sure of, in shares of those that have something to send: a flood in one keeps none waiting. */
const weights: Readonly<Record<Lane, number>> = { critical: 8, session: 4, log: 2, metric: 1 };

/**
 * The next events: each lane has its share of the batch, what a lane does not need goes to the others, the critical one first. Within
 * a lane they go in order, and none is passed over.
 */
export function nextBatch(spool: Pick<EventSpool, "pending">, { eventsMax, bytesMax }: BatchLimits): SpooledEvent[] {
  const waiting = lanes
    .map((lane) => ({ lane, events: spool.pending(lane, eventsMax, bytesMax), taken: 0 }))
    .filter(({ events }) => events.length > 0);
  const weightOfAll = waiting.reduce((sum, { lane }) => sum + weights[lane], 0);
  let events = 0;
  let bytes = 0;
  const take = (from: (typeof waiting)[number], upTo: BatchLimits): void => {
    let ownBytes = 0;
    for (let own = 0; own < upTo.eventsMax; own += 1) {
      const event = from.events[from.taken];
      if (event === undefined || events >= eventsMax) return;
      const size = Buffer.byteLength(event.body);
      if (events > 0 && (ownBytes + size > upTo.bytesMax || bytes + size > bytesMax)) return;
      from.taken += 1;
      events += 1;
      bytes += size;
      ownBytes += size;
    }
  };
  for (const each of waiting) {
    const share = weights[each.lane] / weightOfAll;
    take(each, { eventsMax: Math.max(1, Math.floor(eventsMax * share)), bytesMax: bytesMax * share });
  }
  for (const each of waiting) take(each, { eventsMax, bytesMax });
  return waiting.flatMap(({ events: all, taken }) => all.slice(0, taken));
}
