import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { toWireError } from "@hl/protocol/wire-error.ts";

/** How a WebSocket peer says "too many" and "too large" in the words of the error table. */
export const peerRefusals: PeerRefusals = {
  tooMany: (inFlightMax) =>
    refusal(
      new HlError("rate_limited", `more than ${inFlightMax} requests in progress on this connection`, {
        retry_after_ms: 1_000,
      }),
    ),
  tooLarge: (message) => refusal(new HlError("request_too_large", message)),
};

function refusal(error: HlError): { code: number; message: string; data: Record<string, unknown> } {
  const { code, message, data } = toWireError(error, null, { stackTrace: false });
  return { code, message, data: { ...data } };
}
