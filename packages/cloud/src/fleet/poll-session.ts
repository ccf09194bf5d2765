import type { Clock } from "@hl/core/clock.ts";
import { textOf, type EncodedMessage } from "@hl/core/rpc/encoded-message.ts";
import type { Transport, TransportLimits, TransportReceiver } from "@hl/core/rpc/transport.ts";
import { WaitingMessages } from "@hl/core/rpc/waiting-messages.ts";
import { WriteGate } from "@hl/core/rpc/write-gate.ts";

/**
 * The command channel of a VM whose network lets no WebSocket through: what the cloud says waits here until the VM polls, what
 * the VM says comes by POST. States: open → closed; without a poll for `deadAfterMs` the VM counts as gone. A poll that is lost
 * on its way is not repeated: the VM begins a new session then, and what was unanswered is sent again (C1).
 */
export interface PollSessionOptions {
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly deadAfterMs: number;
  /** Of one answer to a poll; a single message may be larger. */
  readonly answerBytesMax: number;
}

export class PollSession implements Transport {
  readonly #options: PollSessionOptions;
  readonly #gate: WriteGate;
  #receiver: TransportReceiver | undefined;
  readonly #waiting = new WaitingMessages();
  #polls = 0;
  #wakePoll: (() => void) | undefined;
  #resumed: PromiseWithResolvers<undefined> | undefined;
  #closeReason: string | undefined;
  #cancelDeath: (() => void) | undefined;

  constructor(options: PollSessionOptions) {
    this.#options = options;
    this.#gate = new WriteGate({
      clock: options.clock,
      deadlineMs: options.limits.writeDeadlineMs,
      progress: () => this.#polls,
      expired: () => this.close("the reader took nothing for too long"),
    });
  }

  open(receiver: TransportReceiver): void {
    this.#receiver = receiver;
    this.#expectPoll();
  }

  send(message: string | EncodedMessage): Promise<void> {
    if (this.#closeReason !== undefined) return Promise.reject(new Error(this.#closeReason));
    this.#waiting.push(typeof message === "string" ? message : textOf(message));
    this.#wakePoll?.();
    return this.#gate.wait(this.#waiting.bytes > this.#options.limits.highWaterBytes);
  }

  pause(): void {
    this.#resumed ??= Promise.withResolvers();
  }

  resume(): void {
    this.#resumed?.resolve(undefined);
    this.#resumed = undefined;
  }

  close(reason: string): void {
    if (this.#closeReason !== undefined) return;
    this.#closeReason = reason;
    this.#cancelDeath?.();
    this.#gate.closed(reason);
    this.resume();
    this.#wakePoll?.(); // Takes what was said last.
    this.#receiver?.closed(reason);
  }

  /** What came by POST; resolves when the owner can take more (P5). */
  async deliver(messages: readonly unknown[]): Promise<void> {
    for (const message of messages) {
      await this.#resumed?.promise;
      if (this.#closeReason !== undefined) return;
      this.#receiver?.message(JSON.stringify(message));
    }
  }

  /**
   * What the VM is to be told: at once where something waits, else when there is something or the time is over. A newer poll ends
   * an older one. Undefined once the session has ended and everything has been taken.
   */
  async take(waitMs: number, signal: AbortSignal): Promise<readonly string[] | undefined> {
    this.#wakePoll?.();
    this.#cancelDeath?.();
    if (this.#waiting.isEmpty && this.#closeReason === undefined) await this.#somethingToSay(waitMs, signal);
    if (signal.aborted) {
      this.#expectPoll();
      return [];
    }
    const taken = this.#nextMessages();
    if (taken.length === 0 && this.#closeReason !== undefined) return undefined;
    this.#expectPoll();
    return taken;
  }

  async #somethingToSay(waitMs: number, signal: AbortSignal): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    const end = (): void => resolve(undefined);
    const cancel = this.#options.clock.after(waitMs, end);
    signal.addEventListener("abort", end, { once: true });
    this.#wakePoll = end;
    await promise;
    if (this.#wakePoll === end) this.#wakePoll = undefined;
    signal.removeEventListener("abort", end);
    cancel();
  }

  #nextMessages(): readonly string[] {
    const taken = this.#waiting.take(this.#options.answerBytesMax);
    this.#polls += 1;
    if (this.#waiting.bytes <= this.#options.limits.highWaterBytes) this.#gate.opened();
    return taken;
  }

  #expectPoll(): void {
    if (this.#closeReason !== undefined) return;
    const { clock, deadAfterMs } = this.#options;
    this.#cancelDeath?.();
    this.#cancelDeath = clock.after(deadAfterMs, () => this.close(`no poll for ${Math.round(deadAfterMs / 1000)} s`));
  }
}
