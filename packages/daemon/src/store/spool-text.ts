import { HlError } from "@hl/protocol/errors.ts";
import { eventBody, type EventBody } from "@hl/protocol/methods/event-stream.ts";

declare const redacted: unique symbol;

/** The JSON of an event without a secret that the daemon knows (X4). Only `spoolTextOf` makes one, so nothing gets into the spool around it. */
export type SpoolText = string & { readonly [redacted]: true };

/**
 * What is free in an event goes through `redact`. The rest is not changed, because the cloud lives by it: whoever takes an event from
 * others looks at its id and type before. Throws `event_invalid` for tags that are over their limits then.
 */
export function spoolTextOf(event: EventBody, redact: (value: unknown) => unknown): SpoolText {
  const data = redact(event.data);
  const tags = redact(event.tags);
  if (data === event.data && tags === event.tags) return JSON.stringify(event) as SpoolText;
  const parsed = eventBody.shape.tags.safeParse(tags);
  if (parsed.success) return JSON.stringify({ ...event, data, tags: parsed.data }) as SpoolText;
  const text = "tags: too long once the secrets in them are replaced; the daemon knows them from its environments";
  throw new HlError("event_invalid", text, { event_id: event.event_id });
}
