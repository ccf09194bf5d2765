import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import { answer, type Call, type RequestHandler } from "./answer.ts";
import { rpcCode, RpcError } from "./error.ts";
import {
  defaultMessageLimits,
  encodeNotification,
  encodeRequest,
  errorObject,
  parseInput,
  type MessageId,
  type MessageLimits,
  type NotificationMessage,
  type RequestMessage,
  type ResponseMessage,
} from "./message.ts";
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
  /** The wire error for that refusal, and for input that is no message; domain words stay outside this package. */
  readonly refusals?: PeerRefusals | undefined;
}

export interface PeerRefusals {
  readonly tooMany: (inFlightMax: number) => { code: number; message: string; data?: Record<string, unknown> };
  readonly tooLarge: (message: string) => { code: number; message: string; data?: Record<string, unknown> };
}

export interface RequestOptions {
  /** Rejects with a `RequestTimeout` after this time; the other side is told to cancel. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A token of the caller beside the parameters. */
  readonly authorization?: string | undefined;
  /** Use this id, for example to repeat a request after a reconnect. */
  readonly id?: string | undefined;
  /** Notifications that belong to this request; they may go on after the answer, until the signal aborts. */
  readonly onNotification?: ((method: string, params: unknown) => void) | undefined;
}

export class RequestTimeout extends Error {
  override readonly name = "RequestTimeout";
}

/** The connection closed before the answer came; whether the request had an effect is unknown. */
export class ConnectionClosed extends Error {
  override readonly name = "ConnectionClosed";
}

export const cancelMethod = "$/cancelRequest";

type Pending = Readonly<{ settle: (outcome: ResponseMessage["outcome"] | Error) => void }>;

export class Peer {
  readonly #options: PeerOptions;
  readonly #pending = new Map<MessageId, Pending>();
  readonly #streams = new Map<MessageId, NonNullable<RequestOptions["onNotification"]>>();
  readonly #serving = new Map<MessageId, AbortController>();
  readonly #streaming = new Map<MessageId, AbortController>();
  readonly #closed = Promise.withResolvers<string>();
  #listener: ((message: NotificationMessage) => void) | undefined;
  #closeReason: string | undefined;

  constructor(options: PeerOptions) {
    this.#options = options;
  }

  /** Resolves with the reason when the connection has closed; never rejects. */
  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#closeReason !== undefined;
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

  request(method: string, params: unknown, options: RequestOptions = {}): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    if (this.#closeReason !== undefined) {
      reject(new ConnectionClosed(this.#closeReason));
      return promise;
    }
    const { signal, timeoutMs, onNotification } = options;
    if (signal?.aborted === true) {
      reject(signal.reason);
      return promise;
    }
    const id = options.id ?? randomUUID();
    let cancelTimer: (() => void) | undefined;
    const onAbort = (): void => {
      this.#streams.delete(id);
      this.#sendQuietly(encodeNotification(cancelMethod, { id }, this.#options.clock.wallMs()));
      settle(signal?.reason instanceof Error ? signal.reason : new Error("the request was cancelled"));
    };
    const settle: Pending["settle"] = (outcome) => {
      if (!this.#pending.delete(id)) return;
      cancelTimer?.();
      // A stream outlives its answer; its signal then ends it.
      const streaming = onNotification !== undefined && !(outcome instanceof Error) && "result" in outcome;
      if (!streaming) {
        this.#streams.delete(id);
        signal?.removeEventListener("abort", onAbort);
      }
      if (outcome instanceof Error) reject(outcome);
      else if ("result" in outcome) resolve(outcome.result);
      else reject(new RpcError(outcome.error.code, outcome.error.message, outcome.error.data));
    };
    this.#pending.set(id, { settle });
    if (onNotification !== undefined) this.#streams.set(id, onNotification);
    signal?.addEventListener("abort", onAbort, { once: true });
    if (timeoutMs !== undefined) {
      cancelTimer = this.#options.clock.after(timeoutMs, () => {
        this.#sendQuietly(encodeNotification(cancelMethod, { id }, this.#options.clock.wallMs()));
        settle(new RequestTimeout(`${method} was not answered within ${timeoutMs} ms`));
      });
    }
    this.#sendQuietly(encodeRequest(id, method, params, this.#options.clock.wallMs(), options.authorization));
    return promise;
  }

  /** Resolves when the other side has room for more. */
  notify(method: string, params: unknown, requestId?: MessageId): Promise<void> {
    return this.#options.transport.send(encodeNotification(method, params, this.#options.clock.wallMs(), requestId));
  }

  /** Stops receiving while the owner cannot take more (P5); answers wait behind what is held back too. */
  pause(): void {
    this.#options.transport.pause();
  }

  resume(): void {
    this.#options.transport.resume();
  }

  close(reason: string): void {
    this.#options.transport.close(reason);
    this.#onClosed(reason);
  }

  #receive(text: string): void {
    const input = parseInput(text, this.#options.limits ?? defaultMessageLimits);
    for (const message of input.messages) if (message.kind === "response") this.#settle(message);
    const handler = this.#options.handler;
    const serving: RequestHandler = {
      request: (message, call) => {
        if (handler === undefined) throw new RpcError(rpcCode.methodNotFound, `no method ${message.method} here`);
        return handler.request(message, call);
      },
      notification: (message) => this.#onNotification(message),
      describe: (error, id) => {
        if (handler !== undefined) return handler.describe(error, id);
        if (error instanceof RpcError) return error;
        return { code: rpcCode.internalError, message: "internal error" };
      },
    };
    const producers: (() => void)[] = [];
    answer(input, this.#limited(serving), this.#options.clock, (message) => this.#beginCall(message, producers))
      .then((output) => {
        for (const message of input.messages) if (message.kind === "request") this.#endCall(message.id);
        if (output !== undefined) this.#sendQuietly(JSON.stringify(output));
        for (const produce of producers) produce(); // Only now, so that no notification overtakes the answer.
      })
      .catch(() => {
        this.close("an answer could not be written as JSON"); // A handler returned something cyclic: a bug, but not a hang.
      });
  }

  #limited(handler: RequestHandler): RequestHandler {
    const { inFlightMax = 256, refusals } = this.#options;
    if (this.#serving.size < inFlightMax) return handler;
    return {
      ...handler,
      request: () => {
        const refusal = refusals?.tooMany(inFlightMax);
        const message = refusal?.message ?? `more than ${inFlightMax} requests in progress`;
        throw new RpcError(refusal?.code ?? rpcCode.internalError, message, refusal?.data);
      },
    };
  }

  #beginCall(message: RequestMessage, producers: (() => void)[]): Call {
    const controller = new AbortController();
    this.#serving.set(message.id, controller);
    return {
      id: message.id,
      signal: controller.signal,
      canNotify: true,
      notify: (method, params) => this.notify(method, params, message.id),
      stream: (producer) => {
        this.#streaming.set(message.id, controller);
        producers.push(() => {
          producer(controller.signal)
            .catch(() => {}) // The producer reports its own failures in its stream; here only the end counts.
            .finally(() => {
              if (this.#streaming.get(message.id) === controller) this.#streaming.delete(message.id);
            });
        });
      },
    };
  }

  #endCall(id: MessageId): void {
    this.#serving.delete(id);
  }

  #settle(message: ResponseMessage): void {
    this.#pending.get(message.id)?.settle(message.outcome);
  }

  #onNotification(message: NotificationMessage): void {
    if (message.method === cancelMethod) {
      const id = (message.params as { id?: MessageId } | undefined)?.id;
      if (id === undefined) return;
      const reason = new Error("cancelled by the caller");
      this.#serving.get(id)?.abort(reason);
      this.#streaming.get(id)?.abort(reason);
      return;
    }
    const stream = message.requestId === undefined ? undefined : this.#streams.get(message.requestId);
    if (stream !== undefined) stream(message.method, message.params);
    else this.#listener?.(message);
  }

  #refuse(problem: TransportProblem): void {
    const refusal =
      problem.kind === "too_large"
        ? (this.#options.refusals?.tooLarge(problem.message) ?? {
            code: rpcCode.invalidRequest,
            message: problem.message,
          })
        : { code: rpcCode.parseError, message: problem.message };
    this.#sendQuietly(JSON.stringify(errorObject(null, refusal, this.#options.clock.wallMs())));
  }

  #onClosed(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    const error = new ConnectionClosed(reason);
    for (const pending of [...this.#pending.values()]) pending.settle(error);
    for (const controller of [...this.#serving.values(), ...this.#streaming.values()]) controller.abort(error);
    this.#serving.clear();
    this.#streaming.clear();
    this.#streams.clear();
    this.#closed.resolve(reason);
  }

  /** A message that cannot be sent means a closed connection, and that is told to everybody through `closed`. */
  #sendQuietly(text: string): void {
    this.#options.transport.send(text).catch(() => {});
  }
}
