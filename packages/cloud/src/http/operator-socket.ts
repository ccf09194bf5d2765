import type { Clock } from "@hl/core/clock.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { toWireError, type WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { WebSocket } from "ws";
import type { RequestService } from "../fleet/request-service.ts";
import type { Operator } from "../operators/operators.ts";
import { peerRefusals } from "../peer-refusals.ts";
import { OperatorCall } from "./operator-call.ts";

export interface OperatorSocketOptions {
  readonly requests: RequestService;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly streamQueueBytesMax: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
}

/** A JSON-RPC peer for an operator: requests go to one VM, and their notifications come back under the operator's own id. */
export function openOperatorSocket(
  socket: WebSocket,
  operator: Operator,
  instanceId: string,
  options: OperatorSocketOptions,
): Peer {
  const { requests, clock, wireError, streamQueueBytesMax, pingIntervalMs, deadAfterMs } = options;
  const limits = { ...defaultTransportLimits, pauseReadsWhenFull: true };
  const handler: RequestHandler = {
    request: (message, call) =>
      new OperatorCall({ requests, operator, instanceId, message, call, streamQueueBytesMax }).serve(),
    describe: (error, id) => toWireError(error, id, wireError),
  };
  return new Peer({
    transport: new WebSocketTransport({ socket, clock, limits, pingIntervalMs, deadAfterMs }),
    clock,
    handler,
    refusals: peerRefusals,
  }).open();
}
