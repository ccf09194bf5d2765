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

export class ControlRequests {
  readonly #options: ControlRequestsOptions;
  readonly #pending = new Map<string, PromiseWithResolvers<ControlAnswer>>();
  #closed: AgentFailure | undefined;

  constructor(options: ControlRequestsOptions) {
    this.#options = options;
  }

  /** Rejects with `timeout`, `exited`, or `control_refused` where the agent answers with an error. */
  async request(
    request: { readonly subtype: string; readonly [key: string]: unknown },
    timeoutMs: number,
  ): Promise<ControlAnswer> {
    if (this.#closed) throw this.#closed;
    const id = this.#options.newId();
    const pending = Promise.withResolvers<ControlAnswer>();
    this.#pending.set(id, pending);
    const cancelTimer = this.#options.clock.after(timeoutMs, () =>
      pending.reject(
        new AgentFailure("timeout", `The agent has not answered "${request.subtype}" within ${timeoutMs} ms.`),
      ),
    );
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
      cancelTimer();
      this.#pending.delete(id);
    }
  }

  /** False for an answer that nobody waits for any more. */
  onResponse({ response }: ControlResponse): boolean {
    const pending = this.#pending.get(response.request_id);
    pending?.resolve(response);
    return pending !== undefined;
  }

  close(failure: AgentFailure): void {
    this.#closed = failure;
    for (const pending of this.#pending.values()) pending.reject(failure);
  }
}
