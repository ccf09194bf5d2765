import { textOf, type EncodedMessage } from "@hl/core/rpc/encoded-message.ts";
import { errorText } from "@hl/core/logger.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Transport, TransportLimits, TransportReceiver } from "@hl/core/rpc/transport.ts";
import { WaitingMessages } from "@hl/core/rpc/waiting-messages.ts";
import { WriteGate } from "@hl/core/rpc/write-gate.ts";

/** One request of the fallback; answers the messages that the cloud has for us. */
export type Exchange = (
  method: "GET" | "POST" | "DELETE",
  waitSeconds: number,
  body: string | undefined,
  signal: AbortSignal,
) => Promise<readonly string[]>;

export interface PollTransportOptions {
  readonly exchange: Exchange;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly waitSeconds: number;
  /** Bytes of messages in one POST; a single message may be larger. */
  readonly bodyBytesMax: number;
}

/**
 * The daemon's end of the command channel where WebSockets are blocked: one GET waits for what the cloud says, one POST at a time
 * brings what we say, in order. The first POST is the hello, and its answer comes with it. Any request that fails ends the
 * connection like a WebSocket that breaks: what was unanswered is sent again in the next session (C1).
 */
export class PollTransport implements Transport {
  readonly #options: PollTransportOptions;
  readonly #gate: WriteGate;
  readonly #stop = new AbortController();
  #receiver: TransportReceiver | undefined;
  readonly #waiting = new WaitingMessages();
  #posts = 0;
  #posting = false;
  #resumed: PromiseWithResolvers<undefined> | undefined;
  #closed = false;
  #cause: unknown;

  constructor(options: PollTransportOptions) {
    this.#options = options;
    this.#gate = new WriteGate({
      clock: options.clock,
      deadlineMs: options.limits.writeDeadlineMs,
      progress: () => this.#posts,
      expired: () => this.#end("the cloud took nothing for too long"),
    });
  }

  /** The error that ended it, where one did: the peer only passes on its text. */
  get cause(): unknown {
    return this.#cause;
  }

  open(receiver: TransportReceiver): void {
    this.#receiver = receiver;
  }

  send(message: string | EncodedMessage): Promise<void> {
    if (this.#closed) return Promise.reject(new Error("the connection is closed"));
    this.#waiting.push(typeof message === "string" ? message : textOf(message));
    void this.#post();
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
    if (this.#closed) return;
    this.#end(reason);
    // So that the cloud need not find out; a failure only makes it wait for the next poll in vain.
    this.#options.exchange("DELETE", 0, undefined, AbortSignal.timeout(2_000)).catch(() => {});
  }

  async #post(): Promise<void> {
    if (this.#posting) return;
    this.#posting = true;
    const { exchange, limits, waitSeconds, bodyBytesMax } = this.#options;
    while (!this.#waiting.isEmpty && !this.#closed) {
      const isHello = this.#posts === 0;
      const texts = this.#waiting.take(bodyBytesMax);
      try {
        this.#deliver(await exchange("POST", isHello ? waitSeconds : 0, `[${texts.join(",")}]`, this.#stop.signal));
      } catch (error) {
        this.#end(errorText(error), error);
        return;
      }
      this.#posts += 1;
      if (this.#waiting.bytes <= limits.highWaterBytes) this.#gate.opened();
      if (isHello) void this.#poll();
    }
    this.#posting = false;
  }

  async #poll(): Promise<void> {
    const { exchange, waitSeconds } = this.#options;
    while (!this.#closed) {
      await this.#resumed?.promise;
      try {
        this.#deliver(await exchange("GET", waitSeconds, undefined, this.#stop.signal));
      } catch (error) {
        this.#end(errorText(error), error);
        return;
      }
    }
  }

  #deliver(texts: readonly string[]): void {
    for (const text of texts) if (!this.#closed) this.#receiver?.message(text);
  }

  #end(reason: string, cause?: unknown): void {
    if (this.#closed) return;
    this.#closed = true;
    this.#cause = cause;
    this.#stop.abort(new Error(reason));
    this.#gate.closed(reason);
    this.resume();
    this.#receiver?.closed(reason);
  }
}
