import type { Clock } from "@hl/core/clock.ts";
import type { Call, RequestHandler } from "@hl/core/rpc/answer.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import type { RequestMessage } from "@hl/core/rpc/message.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { WebSocketTransport } from "@hl/core/rpc/websocket.ts";
import { toWireError, type WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { WebSocket } from "ws";
import { isLastNotification, streamingOf } from "../fleet/delivery.ts";
import type { Forwarded, RequestService } from "../fleet/request-service.ts";
import { StreamRelay } from "../fleet/stream-relay.ts";
import type { Operator } from "../operators/operators.ts";
import { peerRefusals } from "../peer-refusals.ts";
import { callersError } from "./request-routes.ts";

export interface OperatorSocketOptions {
  readonly requests: RequestService;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
  readonly streamQueueBytesMax: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
}

/** How long a request over a WebSocket waits for a VM that is away; the caller is told and may look it up later. */
const offlineWaitMs = 25_000;

/** A JSON-RPC peer for an operator: requests go to one VM, and their notifications come back under the operator's own id. */
export function openOperatorSocket(
  socket: WebSocket,
  operator: Operator,
  instanceId: string,
  options: OperatorSocketOptions,
): Peer {
  const { clock, wireError, pingIntervalMs, deadAfterMs } = options;
  const limits = { ...defaultTransportLimits, pauseReadsWhenFull: true };
  const handler: RequestHandler = {
    request: (message, call) => serve(message, call, operator, instanceId, options),
    describe: (error, id) => toWireError(error, id, wireError),
  };
  return new Peer({
    transport: new WebSocketTransport({ socket, clock, limits, pingIntervalMs, deadAfterMs }),
    clock,
    handler,
    refusals: peerRefusals,
  }).open();
}

async function serve(
  message: RequestMessage,
  call: Call,
  operator: Operator,
  instanceId: string,
  options: OperatorSocketOptions,
): Promise<unknown> {
  const { method, params, authorization } = message;
  const common = { operator, instanceId, method, params, authorization, waitMs: offlineWaitMs };
  const streaming = streamingOf(method, params);
  if (streaming === "none") {
    return resultOf(await options.requests.forward({ ...common, signal: call.signal }), message);
  }

  // The stream outlives the answer, so it has a signal of its own: the caller's, or the end of the stream.
  const finished = new AbortController();
  const relay = new StreamRelay({
    queueBytesMax: options.streamQueueBytesMax,
    notify: (name, body) => call.notify(name, body),
    isLast: isLastNotification,
    onEnd: () => finished.abort(new Error("the stream has ended")),
  });
  const leave = (): void => finished.abort(call.signal.reason);
  call.signal.addEventListener("abort", leave, { once: true });
  const forwarding = options.requests.forward({
    ...common,
    signal: finished.signal,
    onNotification: (name, body) => relay.push(name, body),
  });

  if (streaming === "before-answer") {
    const pumping = relay.pump(finished.signal);
    try {
      const forwarded = await forwarding;
      relay.end();
      return resultOf(forwarded, message);
    } finally {
      await pumping.catch(() => {}); // A reader that is gone is told nothing more.
      finished.abort(new Error("the turn has ended"));
    }
  }
  try {
    const forwarded = await forwarding;
    const result = resultOf(forwarded, message);
    void forwarded.connection.peer.closed.then((reason) => relay.end("vm_disconnected", reason));
    call.stream((signal) => relay.pump(signal));
    return result;
  } catch (error) {
    finished.abort(error);
    throw error;
  }
}

function resultOf({ answer, rpcId }: Forwarded, message: RequestMessage): unknown {
  if ("result" in answer) return answer.result;
  const { code, message: text, data } = callersError(answer.error, message.id, rpcId);
  throw new RpcError(code, text, data);
}
