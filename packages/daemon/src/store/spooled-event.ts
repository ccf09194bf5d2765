import type { Lane } from "@hl/protocol/event-lanes.ts";
import type { SpoolText } from "./spool-text.ts";

/** One event on its way to the cloud; `body` is its JSON without epoch, lane and sequence number. */
export interface SpooledEvent {
  readonly seq: number;
  readonly lane: Lane;
  readonly type: string;
  readonly body: string;
}

export interface NewEvent {
  readonly id: string;
  readonly type: string;
  readonly lane: Lane;
  readonly body: SpoolText;
}
