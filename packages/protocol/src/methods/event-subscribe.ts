import * as z from "zod";
import { laneName } from "../event-lanes.ts";
import { defineMethod } from "../method.ts";
import { eventBody } from "./event-stream.ts";

export const storedEvent = eventBody.extend({
  epoch: z.string().describe("Sequence numbers are comparable inside an epoch only (S3)"),
  seq: z.int(),
  lane: laneName.optional().describe("Sequence numbers rise inside a lane; lanes may overtake each other"),
});

export type StoredEvent = z.output<typeof storedEvent>;

export const eventSubscribe = defineMethod({
  name: "event/subscribe",
  summary: "Receive events as they are accepted, from a sequence number on when asked.",
  direction: "to-daemon",
  permission: "events:stream",
  idempotent: true,
  timeoutMs: 10_000,
  errors: [],
  params: z.object({
    types: z.array(z.string().max(128)).max(100).optional().describe("Only these event types"),
    after: z
      .int()
      .min(0)
      .optional()
      .describe("Replay what is still kept behind this sequence number first; without it only new events"),
  }),
  result: z.object({ epoch: z.string(), next_seq: z.int().describe("Sequence number of the next event") }),
  notifications: {
    "event/event": storedEvent,
    "event/gap": z.object({ from: z.int(), to: z.int().describe("These sequence numbers are no longer kept here") }),
  },
});
