import type { Clock } from "../clock.ts";
import { answer, encodeAnswer, type Call, type RequestHandler } from "./answer.ts";
import type { BytesMember } from "./encoded-message.ts";
import { rpcCode, RpcError, type WireError } from "./error.ts";
import type { MessageId, NotificationMessage, ParsedInput, RequestMessage } from "./message.ts";

/**
 * The serving half of a peer: requests of the other side in progress, and the streams that outlive their answers.
 * States of a call: in progress → answered → streaming (where the handler asked for it) → over. A caller may use an id twice
 * at once; the standard leaves that to it, so calls are told apart by themselves and an id only selects what to cancel.
 */
export interface ServedCallsOptions {
  readonly clock: Clock;
  readonly handler: RequestHandler | undefined;
  readonly inFlightMax: number;
  readonly streamsMax: number;
  readonly tooMany: ((most: number) => WireError) | undefined;
  readonly onNotification: (message: NotificationMessage) => void;
  /** Sends an answer; a failure means a closed connection and is told elsewhere. */
  readonly send: (text: string) => void;
  readonly notify: (method: string, params: unknown, requestId: MessageId) => Promise<void>;
  readonly notifyBytes: (method: string, params: object, member: BytesMember, requestId: MessageId) => Promise<void>;
}

export const streamEndMethod = "$/streamEnd";

type Producer = (signal: AbortSignal) => Promise<void>;

interface ServedCall {
  readonly message: RequestMessage;
  readonly controller: AbortController;
  readonly producers: Producer[];
  failed: boolean;
}

export class ServedCalls {
  readonly #options: ServedCallsOptions;
  readonly #handler: RequestHandler;
  readonly #inProgress = new Map<Call, ServedCall>();
  readonly #streaming = new Set<ServedCall>();
  #closed = false;

  constructor(options: ServedCallsOptions) {
    this.#options = options;
    this.#handler = {
      request: (message, call) => this.#request(message, call),
      notification: options.onNotification,
      describe: (error, id) => options.handler?.describe(error, id) ?? describeWithoutHandler(error),
    };
  }

  /** Answers what came in. Rejects only where a handler's `describe` is broken. */
  async serve(input: ParsedInput): Promise<void> {
    const { clock, send } = this.#options;
    const begun: ServedCall[] = [];
    const output = await answer(input, this.#handler, clock, (message) => this.#begin(message, begun));
    if (this.#closed) return;
    if (output !== undefined) send(encodeAnswer(output, this.#handler, clock));
    // Only now, so that no notification overtakes the answer.
    for (const served of begun) if (!served.failed) void this.#goOn(served);
  }

  cancel(id: MessageId, reason: Error): void {
    for (const { message, controller } of [...this.#inProgress.values(), ...this.#streaming]) {
      if (message.id === id) controller.abort(reason);
    }
  }

  close(error: Error): void {
    this.#closed = true;
    for (const { controller } of [...this.#inProgress.values(), ...this.#streaming]) controller.abort(error);
    this.#inProgress.clear();
    this.#streaming.clear();
  }

  #begin(message: RequestMessage, begun: ServedCall[]): Call {
    const served: ServedCall = { message, controller: new AbortController(), producers: [], failed: false };
    const call: Call = {
      id: message.id,
      signal: served.controller.signal,
      canNotify: true,
      notify: (method, params) => this.#options.notify(method, params, message.id),
      notifyBytes: (method, params, member) => this.#options.notifyBytes(method, params, member, message.id),
      stream: (producer) => this.#addProducer(call, producer),
    };
    this.#inProgress.set(call, served);
    begun.push(served);
    return call;
  }

  async #request(message: RequestMessage, call: Call): Promise<unknown> {
    const { handler, inFlightMax } = this.#options;
    const served = this.#inProgress.get(call);
    try {
      if (this.#inProgress.size > inFlightMax) throw this.#tooMany(inFlightMax, "requests in progress");
      if (handler === undefined) throw new RpcError(rpcCode.methodNotFound, `no method ${message.method} here`);
      return await handler.request(message, call);
    } catch (error) {
      if (served !== undefined) {
        served.failed = true;
        this.#streaming.delete(served);
      }
      throw error;
    } finally {
      this.#inProgress.delete(call);
    }
  }

  #addProducer(call: Call, producer: Producer): void {
    if (this.#closed) return; // There will be no answer that it could follow.
    const served = this.#inProgress.get(call);
    if (served === undefined) throw new Error("a stream must be asked for before its request is answered");
    const { streamsMax } = this.#options;
    if (this.#streaming.size >= streamsMax && !this.#streaming.has(served)) throw this.#tooMany(streamsMax, "streams");
    this.#streaming.add(served);
    served.producers.push(producer);
  }

  async #goOn(served: ServedCall): Promise<void> {
    const { message, controller, producers } = served;
    const { signal } = controller;
    // A producer reports its own failures in its stream; here only the end counts.
    await Promise.allSettled(producers.map(async (produce) => produce(signal)));
    this.#streaming.delete(served);
    if (message.streamEnd !== true || signal.aborted || this.#closed) return;
    await this.#options.notify(streamEndMethod, { id: message.id }, message.id).catch(() => {});
  }

  #tooMany(most: number, what: string): RpcError {
    const refusal = this.#options.tooMany?.(most);
    const message = refusal?.message ?? `more than ${most} ${what}`;
    return new RpcError(refusal?.code ?? rpcCode.internalError, message, refusal?.data);
  }
}

function describeWithoutHandler(error: unknown): WireError {
  return error instanceof RpcError ? error : { code: rpcCode.internalError, message: "internal error" };
}
