import type { Clock } from "@hl/core/clock.ts";
import { untilExpiry } from "@hl/protocol/expiry.ts";
import type { Caller } from "@hl/protocol/method.ts";

/** Ends a connection with the token or certificate of its caller, so that no stream outlives it; a later login puts that off. */
export class CallerExpiry implements Disposable {
  readonly #clock: Clock;
  readonly #onExpired: () => void;
  #cancel = (): void => {};
  #isOver = false;

  constructor(clock: Clock, onExpired: () => void) {
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  watch({ expiresAtMs }: Caller): void {
    this.#cancel();
    if (this.#isOver || expiresAtMs === undefined) this.#cancel = () => {};
    else this.#cancel = untilExpiry(this.#clock, expiresAtMs, this.#onExpired);
  }

  [Symbol.dispose](): void {
    this.#isOver = true;
    this.#cancel();
  }
}
