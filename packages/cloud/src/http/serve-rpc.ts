import type { Clock } from "@hl/core/clock.ts";
import { answer, type Call, type RequestHandler } from "@hl/core/rpc/answer.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import { parseInput, type MessageId, type ParsedInput } from "@hl/core/rpc/message.ts";
import type { FastifyReply, FastifyRequest } from "fastify";
import { readText } from "./body.ts";
import { headersOf, statusOf } from "./http-error.ts";

/** Answers a JSON-RPC body over HTTP: the standard's answer, and the HTTP status that fits it. */
export async function serveRpc(
  request: FastifyRequest,
  reply: FastifyReply,
  handler: RequestHandler,
  clock: Clock,
  arrange: (input: ParsedInput) => ParsedInput = (input) => input,
): Promise<FastifyReply> {
  const input = arrange(parseInput(await readText(request)));
  const output = await answer(input, handler, clock, (message) => plainCall(message.id));
  return sendRpc(reply, output);
}

/** A batch is answered 200 and judged message by message, unless all of it failed because the server is in trouble. */
export function sendRpc(reply: FastifyReply, output: object | undefined): FastifyReply {
  if (output === undefined) return reply.code(204).send();
  const error = Array.isArray(output) ? troubleOf(output) : errorOf(output);
  if (error === undefined) return reply.send(output);
  return reply.code(statusOf(error)).headers(headersOf(error)).send(output);
}

function errorOf(output: unknown): WireError | undefined {
  return (output as { error?: WireError }).error;
}

function troubleOf(outputs: readonly unknown[]): WireError | undefined {
  const errors = outputs.map(errorOf);
  const [first] = errors;
  const trouble = errors.every((error) => error !== undefined && statusOf(error) >= 500);
  return trouble ? first : undefined;
}

const never = new AbortController().signal;

const cannotNotify = (): Promise<never> => Promise.reject(new Error("a plain HTTP request cannot be notified"));

/** A request without a connection: no notifications, and nobody to cancel it. */
function plainCall(id: MessageId): Call {
  return {
    id,
    signal: never,
    canNotify: false,
    notify: cannotNotify,
    notifyBytes: cannotNotify,
    stream: () => {
      throw new Error("a plain HTTP request cannot be streamed to");
    },
  };
}
