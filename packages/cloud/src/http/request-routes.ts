import type { Clock } from "@hl/core/clock.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import { errorObject, parseInput, responseObject, type MessageId, type RequestMessage } from "@hl/core/rpc/message.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { toWireError, type WireErrorOptions } from "@hl/protocol/wire-error.ts";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import type { Answer } from "../fleet/outbox.ts";
import type { RequestService } from "../fleet/request-service.ts";
import type { RequestRecord } from "../store/store.ts";
import { readText } from "./body.ts";
import { parseQuery } from "./event-routes.ts";
import { headersOf, statusOf } from "./http-error.ts";
import { instanceParams } from "./instance-routes.ts";
import type { OperatorGuard } from "./operator-guard.ts";

export interface RequestRoutesOptions {
  readonly requests: RequestService;
  readonly guard: OperatorGuard;
  readonly clock: Clock;
  readonly wireError: WireErrorOptions;
}

const query = z.object({ wait: z.coerce.number().min(0).max(60).default(25) });
const requestParams = instanceParams.extend({ rpcId: z.string().min(1).max(64) });

/** One request to a VM: forwarded and answered, or queued and looked up later. */
export function requestRoutes(app: FastifyInstance, options: RequestRoutesOptions): void {
  const { requests, guard } = options;
  const path = "/v1/instances/:id/rpc";

  app.post(path, { onRequest: guard.admits("POST /v1/instances/{id}/rpc") }, (request, reply) =>
    forward(request, reply, options),
  );
  app.get(`${path}/:rpcId`, { onRequest: guard.admits("GET /v1/instances/{id}/rpc/{request}") }, async (request) => {
    const { id, rpcId } = requestParams.parse(request.params);
    return toWire(await requests.find(guard.of(request), id, rpcId));
  });
  app.delete(
    `${path}/:rpcId`,
    { onRequest: guard.admits("DELETE /v1/instances/{id}/rpc/{request}") },
    async (request) => {
      const { id, rpcId } = requestParams.parse(request.params);
      return toWire(await requests.withdraw(guard.of(request), id, rpcId));
    },
  );
}

async function forward(
  request: FastifyRequest,
  reply: FastifyReply,
  { requests, guard, clock, wireError }: RequestRoutesOptions,
): Promise<FastifyReply> {
  const { id: instanceId } = instanceParams.parse(request.params);
  const { wait } = parseQuery(query, request.query);
  const message = onlyRequest(await readText(request));
  try {
    const { rpcId, answer } = await requests.forward({
      operator: guard.of(request),
      instanceId,
      method: message.method,
      params: message.params,
      authorization: message.authorization,
      waitMs: wait * 1000,
      onAccepted: (id) => void reply.header("hl-rpc-id", id),
    });
    return await reply.send(answerObject(message.id, answer, rpcId, clock.wallMs()));
  } catch (error) {
    const wire = toWireError(error, message.id, wireError);
    return reply
      .code(statusOf(wire))
      .headers(headersOf(wire))
      .send(errorObject(message.id, wire, clock.wallMs()));
  }
}

function onlyRequest(text: string): RequestMessage {
  const { batch, messages } = parseInput(text);
  const [message] = messages;
  if (!batch && message?.kind === "request") return message;
  if (!batch && message?.kind === "invalid") {
    throw new HlError(message.error.code === -32700 ? "parse_error" : "invalid_request", message.error.message);
  }
  throw new HlError("invalid_request", "send one JSON-RPC request with an id; batches go over the WebSocket");
}

/** The VM knows the request by our id and the caller by its own; an error's data carries both. */
export function callersError(error: WireError, callerId: MessageId, rpcId: string): WireError {
  return { ...error, data: { ...error.data, request_id: String(callerId), rpc_id: rpcId } };
}

function answerObject(callerId: MessageId, answer: Answer, rpcId: string, wallMs: number): object {
  return "result" in answer
    ? responseObject(callerId, answer.result, wallMs)
    : errorObject(callerId, callersError(answer.error, callerId, rpcId), wallMs);
}

function toWire(record: RequestRecord): Record<string, unknown> {
  return {
    rpc_id: record.id,
    instance: record.instanceId,
    operator: record.operator,
    method: record.method,
    state: record.state,
    created_at: record.createdAtMs / 1000,
    settled_at: record.settledAtMs === undefined ? null : record.settledAtMs / 1000,
    answer: record.answer === undefined ? null : (JSON.parse(record.answer) as unknown),
  };
}
