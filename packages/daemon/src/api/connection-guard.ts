import type { Clock } from "@hl/core/clock.ts";
import type { Peer } from "@hl/core/rpc/peer.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { limitedAs } from "./caller-limits.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import type { Slot } from "./connection-slots.ts";
import type { SessionWatcher } from "./session.ts";

/**
 * Watches one connection that carries messages both ways, and ends it when its time or its credit is over.
 * States: stranger (until `login_timeout_seconds`, and for a few refused messages) → known (until nothing was asked and nothing is followed for
 * `idle_timeout_seconds`) → over.
 */
export interface ConnectionGuardOptions {
  readonly peer: Peer;
  readonly slot: Slot;
  readonly clock: Clock;
  /** Read anew whenever a timer is set. */
  readonly numbers: Readonly<ConnectionNumbers>;
  /** Closes the connection; called once. */
  readonly end: (why: EndReason) => void;
}

export type EndReason = "no_login_in_time" | "no_login_but_messages" | "idle";

/** A caller that logs in does so with its first message; one that mistakes itself may try again. */
export const strangerRefusalsMax = 16;
/** Of a caller over its rate. Then its messages are left unread for a while: refusing each costs almost as much as serving it. */
const refusalsInARowMax = 100;
const restMs = 1_000;

export class ConnectionGuard implements SessionWatcher {
  readonly #options: ConnectionGuardOptions;
  #isKnown = false;
  #isOver = false;
  #isResting = false;
  #refusals = 0;
  #lastRequestAt = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(options: ConnectionGuardOptions) {
    this.#options = options;
  }

  /** Begins with a stranger; `loggedIn` follows at once where the caller is known already. */
  begin(): void {
    const { clock, numbers, peer } = this.#options;
    this.#cancelTimer = clock.after(numbers.loginTimeoutMs, () => this.#end("no_login_in_time"));
    void peer.closed.then(() => this.#stop());
  }

  loggedIn(caller: Caller): void {
    if (this.#isKnown || this.#isOver) return;
    this.#isKnown = true;
    this.#refusals = 0;
    this.#lastRequestAt = this.#options.clock.now();
    this.#options.slot.protect(limitedAs(caller));
    this.#watchSilence(this.#options.numbers.idleTimeoutMs);
  }

  admitted(): void {
    this.#lastRequestAt = this.#options.clock.now();
    this.#refusals = 0;
  }

  refused(count: number): void {
    this.#refusals += count;
    if (!this.#isKnown) {
      if (this.#refusals >= strangerRefusalsMax) this.#end("no_login_but_messages");
    } else if (this.#refusals >= refusalsInARowMax) this.#rest();
  }

  #rest(): void {
    if (this.#isResting || this.#isOver) return;
    const { peer, clock } = this.#options;
    this.#isResting = true;
    peer.pause();
    clock.after(restMs, () => {
      this.#isResting = false;
      this.#refusals = 0;
      if (!this.#isOver) peer.resume();
    });
  }

  /** One timer a connection, however many requests: when it fires it looks how long the silence has been. */
  #watchSilence(ms: number): void {
    const { clock, numbers, peer } = this.#options;
    this.#cancelTimer?.();
    this.#cancelTimer = clock.after(ms, () => {
      if (peer.serving > 0) this.#lastRequestAt = clock.now();
      const leftMs = this.#lastRequestAt + numbers.idleTimeoutMs - clock.now();
      if (leftMs <= 0) this.#end("idle");
      else this.#watchSilence(leftMs);
    });
  }

  #end(why: EndReason): void {
    if (this.#isOver) return;
    this.#stop();
    this.#options.end(why);
  }

  #stop(): void {
    this.#isOver = true;
    this.#cancelTimer?.();
  }
}
