import { HlError } from "@hl/protocol/errors.ts";
import type { Operator } from "./operators.ts";

/** Bounds what one operator may hold open: WebSockets and event readers each cost memory for as long as they live (P7). */
export class ConnectionLimit {
  readonly #connectionsMax: number;
  readonly #open = new Map<string, number>();

  constructor(connectionsMax: number) {
    this.#connectionsMax = connectionsMax;
  }

  /** Dispose of the answer when the connection has closed. */
  take(operator: Operator): Disposable {
    const { name } = operator;
    const open = this.#open.get(name) ?? 0;
    if (open >= this.#connectionsMax) {
      const text = `${name} has ${open} connections open, that is the limit`;
      throw new HlError("rate_limited", text, { retry_after_ms: 1_000, help: "Close one of them first." });
    }
    this.#open.set(name, open + 1);
    let released = false;
    return {
      [Symbol.dispose]: () => {
        if (released) return;
        released = true;
        const left = (this.#open.get(name) ?? 1) - 1;
        if (left === 0) this.#open.delete(name);
        else this.#open.set(name, left);
      },
    };
  }
}
