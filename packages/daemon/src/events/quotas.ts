import type { Lane } from "@hl/protocol/event-lanes.ts";
import type { Room } from "../store/lane-use.ts";

export interface QueueLimits {
  readonly eventsMax: number;
  readonly bytesMax: number;
}

export interface LaneLoad {
  readonly events: number;
  readonly bytes: number;
}

export type Loads = Readonly<Record<Lane, LaneLoad>>;

/** `drop`: the oldest of the same lane go for it: a chunk of them, and at least the bytes that are needed. */
export type Admission = { readonly kind: "take" | "refuse" } | { readonly kind: "drop"; readonly room: Room };

/** Research: fleet-agents (d.2). */
const reserveBytesMax = 32 * 2 ** 20;
const reserveShare = 1 / 8;
/** What a lane that may be dropped takes at most of the queue. */
const droppableShare = 1 / 8;
/** Of such a lane goes so much at once, so that not each new event tells of another gap. */
const chunkShare = 1 / 4;
/** So much of the reserve is for the ends of what runs: nothing new is started into it. */
const endsShare = 1 / 4;

/** Room that only what is critical may use. */
export function reserveOf({ eventsMax, bytesMax }: QueueLimits): LaneLoad {
  return {
    events: Math.floor(eventsMax * reserveShare),
    bytes: Math.min(reserveBytesMax, Math.floor(bytesMax * reserveShare)),
  };
}

/** Whether the queue takes one more event of this lane and size, and what goes for it (S2). */
export function admissionOf(limits: QueueLimits, loads: Loads, lane: Lane, bytes: number): Admission {
  const one = { events: 1, bytes };
  const total = sumOf(loads);
  const all = { events: limits.eventsMax, bytes: limits.bytesMax };
  if (lane === "critical") return fits(plus(total, one), all) ? take : refuse;
  const others = minus(total, loads.critical);
  const hasRoom = fits(plus(others, one), minus(all, reserveOf(limits))) && fits(plus(total, one), all);
  if (lane === "session") return hasRoom ? take : refuse;
  const share = {
    events: Math.max(1, Math.floor(limits.eventsMax * droppableShare)),
    bytes: Math.floor(limits.bytesMax * droppableShare),
  };
  const own = loads[lane];
  if (hasRoom && fits(plus(own, one), share)) return take;
  const chunk = { events: Math.floor(share.events * chunkShare), bytes: Math.floor(share.bytes * chunkShare) };
  const room = { ...chunk, bytesNeeded: bytes };
  // What it holds may be less than a chunk: then all of it goes, if that is enough.
  return own.events > 0 && own.bytes >= bytes ? { kind: "drop", room } : refuse;
}

/** Whether something new may be started: there is room for the events of its start and its end. */
export function hasRoomForStarts(limits: QueueLimits, loads: Loads): boolean {
  const total = sumOf(loads);
  const reserve = reserveOf(limits);
  const kept = { events: Math.floor(reserve.events * endsShare), bytes: Math.floor(reserve.bytes * endsShare) };
  return total.events < limits.eventsMax - kept.events && total.bytes < limits.bytesMax - kept.bytes;
}

const take: Admission = { kind: "take" };
const refuse: Admission = { kind: "refuse" };
const plus = (a: LaneLoad, b: LaneLoad): LaneLoad => ({ events: a.events + b.events, bytes: a.bytes + b.bytes });
const minus = (a: LaneLoad, b: LaneLoad): LaneLoad => ({ events: a.events - b.events, bytes: a.bytes - b.bytes });
const sumOf = ({ critical, session, log, metric }: Loads): LaneLoad => ({
  events: critical.events + session.events + log.events + metric.events,
  bytes: critical.bytes + session.bytes + log.bytes + metric.bytes,
});
const fits = (load: LaneLoad, room: LaneLoad): boolean => load.events <= room.events && load.bytes <= room.bytes;
