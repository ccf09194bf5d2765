import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import { streamClosedMethod } from "@hl/protocol/stream-closed.ts";
import type { Events } from "./events.ts";

type EventMethods = Extract<keyof DaemonMethods, `event/${string}`>;

export function eventHandlers(events: Events): Pick<Handlers<DaemonMethods>, EventMethods> {
  return {
    "event/stream": async (event) => {
      const seq = await events.accept(event);
      return { event_id: event.event_id, status: "accepted", seq };
    },
    "event/subscribe": async ({ types, after }, call) => {
      if (!call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      const nextSeq = events.nextSeq;
      const options = { after: after ?? nextSeq - 1, types };
      call.stream(async (signal) => {
        try {
          await events.follow(options, (method, params) => call.notify(method, params), signal);
        } catch (error) {
          if (signal.aborted) return;
          // Such as a database that is made anew: without a word the reader would wait for good.
          const message = error instanceof HlError ? error.message : "events cannot be read at the moment";
          await call.notify(streamClosedMethod, { reason: "failed", message });
        }
      });
      return { epoch: events.epoch, next_seq: nextSeq };
    },
  };
}
