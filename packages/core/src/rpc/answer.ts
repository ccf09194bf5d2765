import type { Clock } from "../clock.ts";
import type { BytesMember } from "./encoded-message.ts";
import { rpcCode, type WireError } from "./error.ts";
import {
  errorObject,
  responseObject,
  type MessageId,
  type NotificationMessage,
  type ParsedInput,
  type RequestMessage,
} from "./message.ts";

/** What a handler may know of, and do with, the request that it serves. */
export interface Call {
  readonly id: MessageId;
  /** Aborts when the caller cancels, and when its connection closes. */
  readonly signal: AbortSignal;
  /** Whether this caller can receive notifications; a plain HTTP request cannot. */
  readonly canNotify: boolean;
  /** Sends a notification that belongs to this request; waits for a slow reader (P5). */
  notify(method: string, params: unknown): Promise<void>;
  /** As `notify`; one more member of the parameters is given as bytes, which are read before this returns. */
  notifyBytes(method: string, params: object, member: BytesMember): Promise<void>;
  /**
   * Begins when the answer is on its way and goes on after it; the producer's signal aborts when the caller cancels or leaves.
   * To be called before the request is answered; an error answer begins nothing. Throws when the connection has too many streams.
   */
  stream(producer: (signal: AbortSignal) => Promise<void>): void;
}

/** Serves requests: one function for every transport. Throws what `describe` can turn into a wire error. */
export interface RequestHandler<C extends Call = Call> {
  request(message: RequestMessage, call: C): Promise<unknown>;
  notification?(message: NotificationMessage): void;
  describe(error: unknown, id: MessageId): WireError;
}

/**
 * Answers one parsed input: an object, an array for a batch, or undefined where JSON-RPC wants silence.
 * Messages of a batch run side by side; the standard leaves their order open.
 */
export function answer<C extends Call>(
  input: ParsedInput,
  handler: RequestHandler<C>,
  clock: Clock,
  callFor: (message: RequestMessage) => C,
): Promise<object | undefined> {
  const one = (message: ParsedInput["messages"][number]): Promise<object | undefined> => {
    if (message.kind === "request") return answerRequest(message, handler, clock, callFor(message));
    if (message.kind === "notification") handler.notification?.(message);
    return Promise.resolve(
      message.kind === "invalid" ? errorObject(message.id, message.error, clock.wallMs()) : undefined,
    );
  };
  const [first] = input.messages;
  if (!input.batch) return first === undefined ? Promise.resolve(undefined) : one(first);
  return Promise.all(input.messages.map(one)).then((answers) => {
    const told = answers.filter((item) => item !== undefined);
    return told.length === 0 ? undefined : told;
  });
}

/**
 * The text of what `answer` gave. A result that is no JSON (a cycle, a BigInt) is a bug of its handler: it costs that
 * request its result, not the other answers of the batch and not the connection.
 */
export function encodeAnswer(output: object, handler: Pick<RequestHandler, "describe">, clock: Clock): string {
  try {
    return JSON.stringify(output);
  } catch {
    const repair = (item: object): object => {
      try {
        JSON.stringify(item);
        return item;
      } catch (error) {
        const { id } = item as { readonly id: MessageId };
        return errorObject(id, handler.describe(error, id), clock.wallMs());
      }
    };
    return JSON.stringify(Array.isArray(output) ? output.map(repair) : repair(output));
  }
}

async function answerRequest<C extends Call>(
  message: RequestMessage,
  handler: RequestHandler<C>,
  clock: Clock,
  call: C,
): Promise<object> {
  try {
    return responseObject(message.id, await handler.request(message, call), clock.wallMs());
  } catch (error) {
    if (call.signal.aborted) {
      const cancelled = { code: rpcCode.requestCancelled, message: "the request was cancelled" };
      return errorObject(message.id, cancelled, clock.wallMs());
    }
    return errorObject(message.id, handler.describe(error, message.id), clock.wallMs());
  }
}
