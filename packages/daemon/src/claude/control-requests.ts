/**
 * Requests of ours to the agent itself (initialize, interrupt, ping), matched to their answers by an id of ours. Each settles: by its
 * answer, its time limit, or the end of the process.
 */
import type { Clock } from "@hl/core/clock.ts";
import { AgentFailure } from "./agent.ts";
import type { ControlResponse } from "./stream-json-messages.ts";

export interface ControlRequestsOptions {
  readonly clock: Clock;
  readonly newId: () => string;
  readonly send: (message: object) => Promise<void>;
}

/** The inner part of an answer: `response` is what was asked for. */
export type ControlAnswer = ControlResponse["response"];

type Pending = PromiseWithResolvers<ControlAnswer> & {
  readonly onSuccess: ((answer: ControlAnswer) => void) | undefined;
};

export class ControlRequests {
  readonly #options: ControlRequestsOptions;
  readonly #pending = new Map<string, Pending>();
  #closed: AgentFailure | undefined;

  constructor(options: ControlRequestsOptions) {
    this.#options = options;
  }

  /**
   * Without a time limit it waits as long as the process lives. `onSuccess` is called before the line behind the answer is looked at.
   * Rejects with `timeout`, `exited`, or `control_refused` where the agent answers with an error.
   */
  async request(
    request: { readonly subtype: string; readonly [key: string]: unknown },
    timeoutMs: number | undefined,
    onSuccess?: (answer: ControlAnswer) => void,
  ): Promise<ControlAnswer> {
    if (this.#closed) throw this.#closed;
    const id = this.#options.newId();
    const pending = Promise.withResolvers<ControlAnswer>();
    this.#pending.set(id, { ...pending, onSuccess });
    const late = `The agent has not answered "${request.subtype}" within ${timeoutMs} ms.`;
    const cancelTimer =
      timeoutMs === undefined
        ? undefined
        : this.#options.clock.after(timeoutMs, () => pending.reject(new AgentFailure("timeout", late)));
    this.#options.send({ type: "control_request", request_id: id, request }).catch((cause: unknown) => {
      pending.reject(
        new AgentFailure("exited", `The agent's standard input cannot be written: ${String(cause)}`, {}, cause),
      );
    });
    try {
      const answer = await pending.promise;
      if (answer.subtype === "success") return answer;
      throw new AgentFailure(
        "control_refused",
        `The agent refused "${request.subtype}": ${answer.error ?? "no reason given"}`,
      );
    } finally {
      cancelTimer?.();
      this.#pending.delete(id);
    }
  }

  /** False for an answer that nobody waits for any more. */
  onResponse({ response }: ControlResponse): boolean {
    const pending = this.#pending.get(response.request_id);
    if (response.subtype === "success") pending?.onSuccess?.(response);
    pending?.resolve(response);
    return pending !== undefined;
  }

  close(failure: AgentFailure): void {
    this.#closed = failure;
    for (const pending of this.#pending.values()) pending.reject(failure);
  }
}
