import * as z from "zod";
import { defineMethod } from "../method.ts";
import { storedEvent } from "./event-subscribe.ts";

/** The same method as callers use towards the daemon, with the sequence number the daemon gave (S3). */
export const eventDeliver = defineMethod({
  name: "event/stream",
  summary: "Deliver one event; sent in batches, judged one by one, stored once by event_id (S1).",
  direction: "to-cloud",
  permission: "any",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["event_invalid", "epoch_conflict", "rate_limited"],
  invalidParams: "event_invalid",
  params: storedEvent,
  result: z.object({ event_id: z.string(), status: z.enum(["accepted", "rejected"]), reason: z.string().optional() }),
});
