import * as z from "zod";

/**
 * Lanes keep what must not be lost apart from what may be: each has its own room in the spool and its own place in a batch, and none
 * waits behind another. In the order in which they are sent.
 * `critical`: what happened to commands and agents, who was refused what, gaps, health: never dropped.
 * `session`: what agents say, and what callers hand over: never dropped, refused when there is no room.
 * `log`, `metric`: the oldest make room for the newest, and a gap says so (S2).
 */
export const lanes = ["critical", "session", "log", "metric"] as const;

export type Lane = (typeof lanes)[number];

export const lane = z.enum(lanes);

/** By the whole type, else by its first word. */
const laneByType: Readonly<Record<string, Lane>> = {
  process_start: "critical",
  process_end: "critical",
  command: "critical",
  audit: "critical",
  daemon: "critical",
  approval: "critical",
  security: "critical",
  health_check: "critical",
  health_alert: "critical",
  self_healing: "critical",
  gap: "critical",
  "agent.exited": "critical",
  agent: "session",
  error: "log",
  log: "log",
  system_metric: "metric",
  metric: "metric",
  file_change: "metric",
};

/** The lane of one of the daemon's own events. */
export function laneOf(type: string): Lane {
  const dot = type.indexOf(".");
  return ownLane(type) ?? (dot === -1 ? undefined : ownLane(type.slice(0, dot))) ?? "session";
}

function ownLane(name: string): Lane | undefined {
  return Object.hasOwn(laneByType, name) ? laneByType[name] : undefined;
}

/** The lane of a caller's event: never the critical one, whose room is for what the daemon itself has to say. */
export function laneOfCaller(type: string): Lane {
  const own = laneOf(type);
  return own === "critical" ? "session" : own;
}

/** `data` of an event of the type `gap`: what is missing, and why (S2). */
export const gapData = z.object({
  lane: lane.nullable().describe("Null where it is not known"),
  from: z.int().nullable().describe("First sequence number that is missing; null for what never got one"),
  to: z.int().nullable().describe("The last; others of the range may be there, in other lanes too"),
  count: z.int().nullable().describe("Events that are missing; null where it is not known"),
  bytes: z.int().nullable().describe("Their size as JSON; null where it is not known"),
  reason: z.string(),
});

export type Gap = z.output<typeof gapData>;

/** On the wire a lane is any name: programs of other versions may know more of them. */
export const laneName = z.string().min(1).max(32);

/** Where the cloud stands in an epoch: of each lane the newest sequence number that it has. Of a lane that is missing it has none. */
export const lanesAcked = z.object({
  epoch: z.string(),
  lanes: z.record(laneName, z.int().min(0)),
  event_ids: z
    .record(laneName, z.string())
    .optional()
    .describe(
      "`event_id` of the event with that number, where it is known. Where the daemon has another event, the number was used twice, and it begins an epoch",
    ),
});

export type LanesAcked = z.output<typeof lanesAcked>;
