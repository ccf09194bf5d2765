import type { Call } from "@hl/core/rpc/answer.ts";
import type { Clock } from "@hl/core/clock.ts";
import { expiredText, untilExpiry } from "./expiry.ts";
import type { Caller } from "./method.ts";
import { streamClosedMethod } from "./stream-closed.ts";

/**
 * The call of a message that brings a token of its own over somebody else's connection. The connection outlives the token, so each stream
 * that the call leaves behind ends with it; its reader is told why, and goes on with a new token.
 */
export function actingCall(call: Call, caller: Caller, clock: Clock): Call {
  const { expiresAtMs } = caller;
  if (expiresAtMs === undefined) return call;
  return {
    id: call.id,
    get signal() {
      return call.signal;
    },
    canNotify: call.canNotify,
    notify: (method, params) => call.notify(method, params),
    notifyBytes: (method, params, member) => call.notifyBytes(method, params, member),
    stream: (producer) =>
      call.stream(async (signal) => {
        const expired = new AbortController();
        const cancel = untilExpiry(clock, expiresAtMs, () => expired.abort(new Error(expiredText)));
        try {
          await producer(AbortSignal.any([signal, expired.signal]));
        } finally {
          cancel();
        }
        if (expired.signal.aborted) await call.notify(streamClosedMethod, { reason: "expired", message: expiredText });
      }),
  };
}
