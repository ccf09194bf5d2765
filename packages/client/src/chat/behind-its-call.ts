import type { Clock } from "@hl/core/clock.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";

/** The tool call of a request comes by another way, behind the disk: it is waited for so long. */
const untoldMs = 1_000;

interface Held {
  readonly changes: Approval[];
  readonly cancel: () => void;
}

/** Shows a permission request behind the tool call that it is about, so that nothing is written below what is to be decided. */
export class BehindItsCall {
  readonly #clock: Pick<Clock, "after">;
  readonly #show: (approval: Approval) => void;
  readonly #told = new Set<string>();
  /** By the tool call. */
  readonly #held = new Map<string, Held>();

  constructor(clock: Pick<Clock, "after">, show: (approval: Approval) => void) {
    this.#clock = clock;
    this.#show = show;
  }

  take(approval: Approval): void {
    const { tool_use_id: call, state } = approval;
    const held = call === undefined ? undefined : this.#held.get(call);
    if (held !== undefined) held.changes.push(approval);
    else if (call === undefined || state !== "pending" || this.#told.has(call)) this.#show(approval);
    else this.#held.set(call, { changes: [approval], cancel: this.#clock.after(untoldMs, () => this.#release(call)) });
  }

  /** A tool call has been shown. */
  told(call: string): void {
    this.#told.add(call);
    this.#release(call);
  }

  /** The turn is over: nothing more will be told of its calls. */
  turnEnded(): void {
    for (const call of [...this.#held.keys()]) this.#release(call);
    this.#told.clear();
  }

  /** Another connection tells of every request again. */
  reset(): void {
    for (const { cancel } of this.#held.values()) cancel();
    this.#held.clear();
  }

  #release(call: string): void {
    const held = this.#held.get(call);
    if (held === undefined) return;
    this.#held.delete(call);
    held.cancel();
    for (const change of held.changes) this.#show(change);
  }
}
