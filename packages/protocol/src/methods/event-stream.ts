import * as z from "zod";
import { unixTime } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const severity = z.enum(["info", "warning", "error", "critical"]);

/** One event as callers send it; the cloud receives the same with `epoch` and `seq` added. */
export const eventBody = z.object({
  event_id: z.string().min(1).max(256).describe("Unique; the cloud stores an event once by it (S1)"),
  event_type: z
    .string()
    .min(1)
    .max(128)
    .regex(/^[A-Za-z0-9_.:/-]+$/, "may hold letters, digits and _ . : / -"),
  timestamp: unixTime("When it happened"),
  data: z.unknown(),
  tags: z.record(z.string().max(128), z.string().max(1_024)).optional(),
  severity: severity.default("info"),
});

export type EventBody = z.output<typeof eventBody>;

export const eventStream = defineMethod({
  name: "event/stream",
  summary: "Hand over an event; `accepted` is said only after it is durable, and then it reaches the cloud (S1).",
  direction: "to-daemon",
  permission: "events:stream",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["queue_full", "no_space", "store_failing", "event_invalid"],
  invalidParams: "event_invalid",
  params: eventBody,
  result: z.object({
    event_id: z.string(),
    status: z.enum(["accepted", "rejected"]),
    seq: z.int().optional().describe("Of an accepted one: its sequence number, as event/subscribe and gaps name it"),
    reason: z.string().optional(),
  }),
});
