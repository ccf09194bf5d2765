import { randomUUID } from "node:crypto";
import type { Gap } from "@hl/protocol/event-lanes.ts";
import type { EventBody } from "@hl/protocol/methods/event-stream.ts";
import { spoolTextOf } from "./spool-text.ts";
import type { NewEvent } from "./spooled-event.ts";

/** The event that says what is missing and why (S2). All of it is our own words: no text of others may get into `reason` (X4). */
export function gapEvent(gap: Gap, wallMs: number): NewEvent {
  const event: EventBody = {
    event_id: randomUUID(),
    event_type: "gap",
    timestamp: wallMs / 1000,
    data: gap,
    severity: "warning",
  };
  return {
    id: event.event_id,
    type: event.event_type,
    lane: "critical",
    body: spoolTextOf(event, (ourWords) => ourWords),
  };
}
