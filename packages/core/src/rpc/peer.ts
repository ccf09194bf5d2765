import type { Clock } from "../clock.ts";
import { errorText } from "../logger.ts";
import type { RequestHandler } from "./answer.ts";
import { AskedCalls, cancelMethod, ConnectionClosed, type RequestOptions } from "./asked-calls.ts";
import { encodeBytesNotification, type BytesMember } from "./encoded-message.ts";
import { rpcCode } from "./error.ts";
import {
  defaultMessageLimits,
  encodeNotification,
  errorObject,
  parseInput,
  type MessageId,
  type MessageLimits,
  type NotificationMessage,
} from "./message.ts";
import { ServedCalls, streamEndMethod } from "./served-calls.ts";
import type { Transport, TransportProblem } from "./transport.ts";

/**
 * One end of a JSON-RPC 2.0 connection; both ends may ask and serve.
 * States: open → closed. On close every request that we asked is rejected and every request that we serve is
 * aborted, so nobody waits for an answer that cannot come (A1).
 */
export interface PeerOptions {
  readonly transport: Transport;
  readonly clock: Clock;
  /** Serves the other side's requests; without it every request is answered "method not found". */
  readonly handler?: RequestHandler | undefined;
  readonly limits?: MessageLimits | undefined;
  /** Requests of the other side that may be in progress at once; one more is refused. */
  readonly inFlightMax?: number | undefined;
  /** Streams of the other side that may be open at once. */
  readonly streamsMax?: number | undefined;
  /** The wire error for those refusals, and for input that is no message; domain words stay outside this package. */
  readonly refusals?: PeerRefusals | undefined;
  /** Told how many messages have come in one that are no requests, and so go past the handler: notifications, answers, and what is no message. */
  readonly onOther?: ((count: number, kind: "message" | TransportProblem["kind"]) => void) | undefined;
}

export interface PeerRefusals {
  readonly tooMany: (inFlightMax: number) => { code: number; message: string; data?: Record<string, unknown> };
  readonly tooLarge: (message: string) => { code: number; message: string; data?: Record<string, unknown> };
}

export { cancelMethod, ConnectionClosed, RequestTimeout, type RequestOptions } from "./asked-calls.ts";

const inFlightMaxDefault = 256;
/** Twice the commands that may run at once, each of them followed. */
const streamsMaxDefault = 1_024;

export class Peer {
  readonly #options: PeerOptions;
  readonly #asked: AskedCalls;
  readonly #served: ServedCalls;
  readonly #closed = Promise.withResolvers<string>();
  #listener: ((message: NotificationMessage) => void) | undefined;
  #closeReason: string | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
    const send = (text: string): void => this.#sendQuietly(text);
    this.#asked = new AskedCalls(options.clock, send);
    this.#served = new ServedCalls({
      clock: options.clock,
      handler: options.handler,
      inFlightMax: options.inFlightMax ?? inFlightMaxDefault,
      streamsMax: options.streamsMax ?? streamsMaxDefault,
      tooMany: options.refusals?.tooMany,
      onNotification: (message) => this.#onNotification(message),
      send,
      notify: (method, params, requestId) => this.notify(method, params, requestId),
      notifyBytes: (method, params, member, requestId) => this.notifyBytes(method, params, member, requestId),
    });
  }

  /** Resolves with the reason when the connection has closed; never rejects. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
  }

  /** Requests of ours that wait for an answer or still receive notifications. */
  get asking(): number {
    return this.#asked.size;
  }

  /** Requests of the other side that are in progress, and streams that it still receives. */
  get serving(): number {
    return this.#served.size;
  }

  /** Begins to receive. Separate from the constructor so that listeners can be in place first. */
  open(): this {
    this.#options.transport.open({
      message: (text) => this.#receive(text),
      problem: (problem) => this.#refuse(problem),
      closed: (reason) => this.#onClosed(reason),
    });
    return this;
  }

  /** Receives notifications that belong to no request of ours. */
  onNotification(listener: (message: NotificationMessage) => void): void {
    this.#listener = listener;
  }

  /** Rejects with an `RpcError` of the other side, `RequestTimeout`, `ConnectionClosed` or the signal's reason. */
  request(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    if (this.#closeReason !== undefined) return Promise.reject(new ConnectionClosed(this.#closeReason));
    return this.#asked.request(method, params, options);
  }

  /** Resolves when the other side has room for more; rejects when the connection is closed. */
  async notify(method: string, params: unknown, requestId?: MessageId): Promise<void> {
    await this.#options.transport.send(encodeNotification(method, params, this.#options.clock.wallMs(), requestId));
  }

  /** As `notify`, with one more member of the parameters that is given as bytes: for streams, at a fraction of the work. */
  async notifyBytes(method: string, params: object, member: BytesMember, requestId?: MessageId): Promise<void> {
    const { clock, transport } = this.#options;
    await transport.send(encodeBytesNotification(method, params, member, clock.wallMs(), requestId));
  }

  /** Stops receiving while the owner cannot take more (P5); answers wait behind what is held back too. */
  pause(): void {
    this.#options.transport.pause();
  }

  resume(): void {
    this.#options.transport.resume();
  }

  /** What was sent still goes out; nothing that arrives from now on has an effect. */
  close(reason: string): void {
    this.#options.transport.close(reason);
    this.#onClosed(reason);
  }

  #receive(text: string): void {
    if (this.isClosed) return;
    const input = parseInput(text, this.#options.limits ?? defaultMessageLimits);
    let others = 0;
    for (const message of input.messages) {
      if (message.kind === "response") this.#asked.answered(message);
      else if (message.kind === "invalid") this.#asked.misanswered(message.id);
      if (message.kind !== "request") others += 1;
    }
    this.#served.serve(input).catch((error: unknown) => {
      this.close(`a message could not be handled: ${errorText(error)}`); // A bug of ours, but nobody hangs on it.
    });
    if (others > 0) this.#options.onOther?.(others, "message");
  }

  #onNotification(message: NotificationMessage): void {
    if (message.method === cancelMethod || message.method === streamEndMethod) {
      const id = (message.params as { id?: MessageId } | undefined)?.id;
      if (id === undefined) return;
      if (message.method === cancelMethod) this.#served.cancel(id, new Error("cancelled by the caller"));
      else this.#asked.endStream(id);
      return;
    }
    const listener = message.requestId === undefined ? undefined : this.#asked.listener(message.requestId);
    if (listener !== undefined) listener(message.method, message.params);
    else this.#listener?.(message);
  }

  #refuse(problem: TransportProblem): void {
    if (this.isClosed) return;
    const refusal =
      problem.kind === "too_large"
        ? (this.#options.refusals?.tooLarge(problem.message) ?? {
            code: rpcCode.invalidRequest,
            message: problem.message,
          })
        : { code: rpcCode.parseError, message: problem.message };
    this.#sendQuietly(JSON.stringify(errorObject(null, refusal, this.#options.clock.wallMs())));
    this.#options.onOther?.(1, problem.kind);
  }

  #onClosed(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    const error = new ConnectionClosed(reason);
    this.#asked.close(error);
    this.#served.close(error);
    this.#closed.resolve(reason);
  }

  /** A message that cannot be sent means a closed connection, and that is told to everybody through `closed`. */
  #sendQuietly(text: string): void {
    this.#options.transport.send(text).catch(() => {});
  }
}
