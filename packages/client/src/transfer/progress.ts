import { basename } from "node:path";
import { bytes } from "../render/quantity.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

/** Between two drawings of the bar. */
const drawMs = 100;
const barColumns = 24;

/** How far a transfer is, on standard error, where that is a terminal. */
export class Progress implements Disposable {
  readonly #session: Session;
  readonly #label: string;
  readonly #size: number;
  readonly #startedAt: number;
  #first: number | undefined;
  #drawnAt = -Infinity;

  constructor(session: Session, path: string, size: number) {
    this.#session = session;
    this.#label = escapeLine(basename(path));
    this.#size = size;
    this.#startedAt = session.clock.now();
  }

  /** @param done bytes of the whole, those of an earlier run included. */
  at(done: number): void {
    this.#first ??= done;
    const { err, clock, json } = this.#session;
    const now = clock.now();
    if (json || !err.isTerminal || (now - this.#drawnAt < drawMs && done < this.#size)) return;
    this.#drawnAt = now;
    err.write(`\r${this.#line(done, now)}\x1b[K`);
  }

  [Symbol.dispose](): void {
    if (this.#drawnAt > -Infinity) this.#session.err.write("\n");
  }

  #line(done: number, now: number): string {
    const share = this.#size === 0 ? 1 : done / this.#size;
    const filled = Math.round(share * barColumns);
    const seconds = Math.max(0.001, (now - this.#startedAt) / 1000);
    const rate = (done - (this.#first ?? 0)) / seconds;
    const bar = "█".repeat(filled) + "░".repeat(barColumns - filled);
    return `${this.#label} ${bar} ${Math.floor(share * 100)} % of ${bytes(this.#size)}, ${bytes(rate)}/s`;
  }
}
