import { randomUUID } from "node:crypto";
import type { Clock } from "../clock.ts";
import { rpcCode, RpcError } from "./error.ts";
import { encodeNotification, encodeRequest, type MessageId, type ResponseMessage } from "./message.ts";

export interface RequestOptions {
  /** Rejects with a `RequestTimeout` after this time; the other side is told to cancel. */
  readonly timeoutMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** A token of the caller beside the parameters. */
  readonly authorization?: string | undefined;
  /** Use this id, for example to repeat a request after a reconnect; one that is in use on this connection is refused. */
  readonly id?: string | undefined;
  /**
   * Notifications that belong to this request; they may go on after the answer, until the other side says that the
   * stream is over (`$/streamEnd`), the signal aborts or the connection closes.
   */
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

type Outcome = ResponseMessage["outcome"] | Error;

interface AskedCall {
  /** The answer, or why there is none; to be called once. */
  readonly settle: (outcome: Outcome) => void;
  /** Lets go of the signal. */
  readonly release: () => void;
  readonly onNotification: RequestOptions["onNotification"];
}

/**
 * The asking half of a peer. States of a call: waiting → answered → streaming (where notifications are wanted) → over.
 * Every call settles: by its answer, its signal, its time limit or the end of the connection (A1).
 */
export class AskedCalls {
  readonly #clock: Clock;
  readonly #send: (text: string) => void;
  readonly #waiting = new Map<MessageId, AskedCall>();
  readonly #streaming = new Map<MessageId, AskedCall>();

  constructor(clock: Clock, send: (text: string) => void) {
    this.#clock = clock;
    this.#send = send;
  }

  /** Calls of which something may still come; zero when nothing is kept. */
  get size(): number {
    return this.#waiting.size + this.#streaming.size;
  }

  /** Never throws: a request that cannot be made is rejected like one that failed. */
  request(method: string, params: unknown, options: RequestOptions): Promise<unknown> {
    const { signal, authorization, onNotification, id = randomUUID() } = options;
    let text: string;
    try {
      signal?.throwIfAborted();
      if (this.#waiting.has(id) || this.#streaming.has(id)) {
        throw new Error(`the request id ${id} is in use on this connection`);
      }
      const streamEnd = onNotification === undefined ? undefined : true;
      text = encodeRequest(id, method, params, this.#clock.wallMs(), { authorization, streamEnd });
    } catch (error) {
      return Promise.reject(error);
    }
    const answer = this.#wait(id, method, options);
    this.#send(text);
    return answer;
  }

  /** Answers that nobody waits for any more are ignored. */
  answered(message: ResponseMessage): void {
    this.#waiting.get(message.id)?.settle(message.outcome);
  }

  /** The other side sent what carries the id of a request but is no answer: there will be no other. */
  misanswered(id: MessageId): void {
    const error = { code: rpcCode.internalError, message: "the other side sent a malformed answer" };
    this.#waiting.get(id)?.settle({ error });
  }

  /** Who receives the notifications of this request, if anybody. */
  listener(id: MessageId): RequestOptions["onNotification"] {
    return (this.#waiting.get(id) ?? this.#streaming.get(id))?.onNotification;
  }

  endStream(id: MessageId): void {
    this.#streaming.get(id)?.release();
    this.#streaming.delete(id);
  }

  close(error: ConnectionClosed): void {
    for (const { settle } of [...this.#waiting.values()]) settle(error);
    for (const id of [...this.#streaming.keys()]) this.endStream(id);
  }

  #wait(id: MessageId, method: string, { signal, timeoutMs, onNotification }: RequestOptions): Promise<unknown> {
    const { promise, resolve, reject } = Promise.withResolvers<unknown>();
    const onAbort = (): void => {
      this.#giveUp(id, signal?.reason instanceof Error ? signal.reason : new Error("the request was cancelled"));
    };
    const onLate = (): void => {
      this.#giveUp(id, new RequestTimeout(`${method} was not answered within ${timeoutMs ?? 0} ms`));
    };
    signal?.addEventListener("abort", onAbort, { once: true });
    const cancelTimer = timeoutMs === undefined ? undefined : this.#clock.after(timeoutMs, onLate);
    const call: AskedCall = {
      onNotification,
      release: () => signal?.removeEventListener("abort", onAbort),
      settle: (outcome) => {
        this.#waiting.delete(id);
        cancelTimer?.();
        const answered = !(outcome instanceof Error) && "result" in outcome;
        // A stream outlives its answer; the signal then ends it.
        if (answered && onNotification !== undefined) this.#streaming.set(id, call);
        else call.release();
        if (answered) resolve(outcome.result);
        else if (outcome instanceof Error) reject(outcome);
        else reject(new RpcError(outcome.error.code, outcome.error.message, outcome.error.data));
      },
    };
    this.#waiting.set(id, call);
    return promise;
  }

  /** The caller wants it no more: so does the other side from now on. */
  #giveUp(id: MessageId, reason: Error): void {
    const waiting = this.#waiting.get(id);
    if (waiting === undefined) this.endStream(id);
    else waiting.settle(reason);
    this.#send(encodeNotification(cancelMethod, { id }, this.#clock.wallMs()));
  }
}
