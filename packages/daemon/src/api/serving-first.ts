import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { HlError } from "@hl/protocol/errors.ts";

/** `max_pending_requests` is reached. */
export function tooManyInFlight(most: number): HlError {
  return new HlError("rate_limited", `${most} requests of this connection are in progress`, { retry_after_ms: 1_000 });
}

/** Serves so many messages of one body; the rest of them is refused as on a connection that carries messages. */
export function servingFirst(handler: RequestHandler, room: number, most: number): RequestHandler {
  let begun = 0;
  return {
    request: (message, call) => {
      begun += 1;
      return begun > room ? Promise.reject(tooManyInFlight(most)) : handler.request(message, call);
    },
    describe: (error, id) => handler.describe(error, id),
  };
}
