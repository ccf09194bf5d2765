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

/** What a call needs of the connection that it came over. */
interface Connection {
  notify(method: string, params: unknown, requestId: MessageId): Promise<void>;
  notifyBytes(method: string, params: object, member: BytesMember, requestId: MessageId): Promise<void>;
  stream(call: ServedCall, producer: Producer): void;
}

/** One request in progress. Most are over before anybody asks for their signal, and making one costs more than they do. */
class ServedCall implements Call {
  readonly message: RequestMessage;
  readonly canNotify = true;
  readonly producers: Producer[] = [];
  failed = false;
  readonly #connection: Connection;
  #controller: AbortController | undefined;

  constructor(message: RequestMessage, connection: Connection) {
    this.message = message;
    this.#connection = connection;
  }

  get id(): MessageId {
    return this.message.id;
  }

  get signal(): AbortSignal {
    return this.#aborts.signal;
  }

  abort(reason: Error): void {
    this.#aborts.abort(reason);
  }

  notify(method: string, params: unknown): Promise<void> {
    return this.#connection.notify(method, params, this.id);
  }

  notifyBytes(method: string, params: object, member: BytesMember): Promise<void> {
    return this.#connection.notifyBytes(method, params, member, this.id);
  }

  stream(producer: Producer): void {
    this.#connection.stream(this, producer);
  }

  get #aborts(): AbortController {
    return (this.#controller ??= new AbortController());
  }
}

export class ServedCalls {
  readonly #options: ServedCallsOptions;
  readonly #handler: RequestHandler<ServedCall>;
  readonly #connection: Connection;
  readonly #inProgress = new Set<ServedCall>();
  readonly #streaming = new Set<ServedCall>();
  #closed = false;

  constructor(options: ServedCallsOptions) {
    this.#options = options;
    this.#handler = {
      request: (message, call) => this.#request(message, call),
      notification: options.onNotification,
      describe: (error, id) => options.handler?.describe(error, id) ?? describeWithoutHandler(error),
    };
    this.#connection = {
      notify: options.notify,
      notifyBytes: options.notifyBytes,
      stream: (call, producer) => this.#addProducer(call, producer),
    };
  }

  /** Requests in progress and streams that are open. */
  get size(): number {
    return this.#inProgress.size + this.#streaming.size;
  }

  /** Answers what came in. Rejects only where a handler's `describe` is broken. */
  async serve(input: ParsedInput): Promise<void> {
    const { clock, send } = this.#options;
    const begun: ServedCall[] = [];
    const output = await answer(input, this.#handler, clock, (message) => this.#begin(message, begun));
    if (this.#closed) return;
    if (output !== undefined) send(encodeAnswer(output, this.#handler, clock));
    // Only now, so that no notification overtakes the answer.
    for (const call of begun) if (!call.failed && goesOn(call)) void this.#goOn(call);
  }

  cancel(id: MessageId, reason: Error): void {
    for (const call of [...this.#inProgress, ...this.#streaming]) if (call.id === id) call.abort(reason);
  }

  close(error: Error): void {
    this.#closed = true;
    for (const call of [...this.#inProgress, ...this.#streaming]) call.abort(error);
    this.#inProgress.clear();
    this.#streaming.clear();
  }

  #begin(message: RequestMessage, begun: ServedCall[]): ServedCall {
    const call = new ServedCall(message, this.#connection);
    this.#inProgress.add(call);
    begun.push(call);
    return call;
  }

  async #request(message: RequestMessage, call: ServedCall): Promise<unknown> {
    const { handler, inFlightMax } = this.#options;
    try {
      if (this.#inProgress.size > inFlightMax) throw this.#tooMany(inFlightMax, "requests in progress");
      if (handler === undefined) throw new RpcError(rpcCode.methodNotFound, `no method ${message.method} here`);
      return await handler.request(message, call);
    } catch (error) {
      call.failed = true;
      this.#streaming.delete(call);
      throw error;
    } finally {
      this.#inProgress.delete(call);
    }
  }

  #addProducer(call: ServedCall, producer: Producer): void {
    if (this.#closed) return; // There will be no answer that it could follow.
    if (!this.#inProgress.has(call)) throw new Error("a stream must be asked for before its request is answered");
    const { streamsMax } = this.#options;
    if (this.#streaming.size >= streamsMax && !this.#streaming.has(call)) throw this.#tooMany(streamsMax, "streams");
    this.#streaming.add(call);
    call.producers.push(producer);
  }

  async #goOn(call: ServedCall): Promise<void> {
    const { message, signal, producers } = call;
    // A producer reports its own failures in its stream; here only the end counts.
    await Promise.allSettled(producers.map(async (produce) => produce(signal)));
    this.#streaming.delete(call);
    if (message.streamEnd !== true || signal.aborted || this.#closed) return;
    await this.#options.notify(streamEndMethod, { id: message.id }, message.id).catch(() => {});
  }

  #tooMany(most: number, what: string): RpcError {
    const refusal = this.#options.tooMany?.(most);
    const message = refusal?.message ?? `more than ${most} ${what}`;
    return new RpcError(refusal?.code ?? rpcCode.internalError, message, refusal?.data);
  }
}

/** Whether anything may follow its answer. */
function goesOn({ message, producers }: ServedCall): boolean {
  return producers.length > 0 || message.streamEnd === true;
}

function describeWithoutHandler(error: unknown): WireError {
  return error instanceof RpcError ? error : { code: rpcCode.internalError, message: "internal error" };
}
