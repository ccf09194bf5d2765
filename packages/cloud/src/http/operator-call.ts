import type { Call } from "@hl/core/rpc/answer.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import type { RequestMessage } from "@hl/core/rpc/message.ts";
import { isEmptyStream, isLastNotification, streamingOf } from "../fleet/delivery.ts";
import type { Forwarded, RequestService } from "../fleet/request-service.ts";
import { streamPosition } from "../fleet/stream-position.ts";
import { StreamRelay } from "../fleet/stream-relay.ts";
import type { Operator } from "../operators/operators.ts";
import { callersError } from "./request-routes.ts";

/** One request that came over an operator's WebSocket: a plain answer, a turn with notifications before it, or a stream after it. */
export interface OperatorCallOptions {
  readonly requests: RequestService;
  readonly operator: Operator;
  readonly instanceId: string;
  readonly message: RequestMessage;
  readonly call: Call;
  readonly streamQueueBytesMax: number;
}

/** How long a request over a WebSocket waits for a VM that is away; the caller is told and may look it up later. */
const offlineWaitMs = 25_000;

export class OperatorCall {
  readonly #options: OperatorCallOptions;

  constructor(options: OperatorCallOptions) {
    this.#options = options;
  }

  serve(): Promise<unknown> {
    const { message } = this.#options;
    switch (streamingOf(message.method, message.params)) {
      case "none":
        return this.#plain();
      case "before-answer":
        return this.#turn();
      case "after-answer":
        return this.#stream();
    }
  }

  async #plain(): Promise<unknown> {
    const { message, call } = this.#options;
    return this.#resultOf(await this.#forward(message.method, message.params, call.signal));
  }

  /** The answer comes behind everything that was notified before it. */
  async #turn(): Promise<unknown> {
    const { message } = this.#options;
    using ending = this.#ending();
    const relay = this.#relay({ suspend: () => undefined, onEnd: () => {} });
    const pumping = relay.pump(ending.signal);
    try {
      const push = (method: string, params: unknown): void => relay.push(method, params);
      return this.#resultOf(await this.#forward(message.method, message.params, ending.signal, push));
    } finally {
      relay.end();
      await pumping.catch(() => {}); // A reader that is gone is told nothing more.
    }
  }

  /** The stream outlives the answer and may be taken up several times: a slow reader is served at its own pace. */
  async #stream(): Promise<unknown> {
    const { message, call } = this.#options;
    const position = streamPosition(message.method, message.params);
    let current = this.#ending();
    const stop = (): void => current[Symbol.dispose]();
    const relay = this.#relay({
      note: (method, params) => position.note(method, params),
      suspend: () => {
        const next = position.next();
        stop();
        return next === undefined ? undefined : () => open(next.method, next.params);
      },
      onEnd: stop,
    });
    const open = async (method: string, params: unknown): Promise<unknown> => {
      const mine = (current = this.#ending());
      const push = (name: string, body: unknown): void => {
        if (current === mine) relay.push(name, body);
      };
      const forwarded = await this.#forward(method, params, mine.signal, push);
      const result = this.#resultOf(forwarded);
      if (isEmptyStream(method, params, result)) relay.end();
      void forwarded.connection.peer.closed.then((reason) => {
        if (current === mine && !relay.suspended) relay.end("vm_disconnected", reason);
      });
      return result;
    };
    try {
      const result = await open(message.method, message.params);
      call.stream((signal) => relay.pump(signal));
      return result;
    } catch (error) {
      stop();
      throw error;
    }
  }

  /** A signal that aborts when the operator cancels or leaves, and when it is disposed of. */
  #ending(): Disposable & { readonly signal: AbortSignal } {
    const { call } = this.#options;
    const controller = new AbortController();
    const leave = (): void => controller.abort(call.signal.reason);
    if (call.signal.aborted) leave();
    else call.signal.addEventListener("abort", leave, { once: true });
    return {
      signal: controller.signal,
      [Symbol.dispose]() {
        call.signal.removeEventListener("abort", leave);
        controller.abort(new Error("the stream has ended"));
      },
    };
  }

  #relay(
    hooks: Pick<ConstructorParameters<typeof StreamRelay>[0], "suspend" | "onEnd"> & {
      note?: (method: string, params: unknown) => void;
    },
  ): StreamRelay {
    const { call, streamQueueBytesMax } = this.#options;
    return new StreamRelay({
      queueBytesMax: streamQueueBytesMax,
      notify: (method, params) => call.notify(method, params),
      isLast: isLastNotification,
      ...hooks,
    });
  }

  #forward(
    method: string,
    params: unknown,
    signal: AbortSignal,
    onNotification?: (method: string, params: unknown) => void,
  ): Promise<Forwarded> {
    const { requests, operator, instanceId, message } = this.#options;
    const { authorization } = message;
    const waitMs = offlineWaitMs;
    return requests.forward({ operator, instanceId, method, params, authorization, waitMs, signal, onNotification });
  }

  #resultOf({ answer, rpcId }: Forwarded): unknown {
    if ("result" in answer) return answer.result;
    const { code, message, data } = callersError(answer.error, this.#options.message.id, rpcId);
    throw new RpcError(code, message, data);
  }
}
