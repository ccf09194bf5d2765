/**
 * The turns of one agent: one at a time, the others in the order they came (A1: two lines written at once would share one result).
 *
 * A turn is `queued`, then `sent` when it has the slot and its line is written, `started` when the agent says so, then `ended`. The
 * slot is freed by the end of the turn and by nothing else: a caller that gave up does not make the agent free.
 * The queue is held while the daemon attaches to an agent of before, and while the agent is busy with a turn that is not ours.
 */
import type { AgentFailure, RelayResult } from "./agent.ts";
import type { PausableDeadline } from "./pausable-deadline.ts";

/** Enough to show what had come when a turn is cut short; the whole text is in the events. */
const partialTextCharsMax = 64 * 1024;

export class Turn {
  readonly relayId: string;
  readonly uuid: string;
  readonly line: string;
  /** Settles when the agent is done with the turn, not when a caller has lost patience. */
  readonly done: Promise<RelayResult>;
  state: "queued" | "sent" | "started" | "ended" = "queued";
  /** The agent has said that it has the message. */
  confirmed = false;
  /** A line was too long to be read during this turn; it may have been the result. */
  lineSkipped = false;
  readonly #done = Promise.withResolvers<RelayResult>();
  readonly #deadlines = new Set<PausableDeadline>();
  #pauses = 0;
  #finishedText = "";
  #streamedText = "";

  constructor(relayId: string, uuid: string, line: string) {
    this.relayId = relayId;
    this.uuid = uuid;
    this.line = line;
    this.done = this.#done.promise;
    // A turn whose caller has given up already has nobody left to tell.
    this.done.catch(() => {});
  }

  get partialText(): string {
    return this.#finishedText + this.#streamedText;
  }

  addDelta(text: string): void {
    this.#streamedText = keepTail(this.#streamedText + text);
  }

  /** A finished block repeats what its deltas said. */
  addText(text: string): void {
    this.#finishedText = keepTail(this.#finishedText + text);
    this.#streamedText = "";
  }

  /** The deadline of a caller who waits for this turn; stands still while a permission of the turn is open. */
  addDeadline(deadline: PausableDeadline): void {
    this.#deadlines.add(deadline);
    if (this.#pauses > 0) deadline.pause();
    deadline.start();
  }

  removeDeadline(deadline: PausableDeadline): void {
    deadline.cancel();
    this.#deadlines.delete(deadline);
  }

  pause(): void {
    this.#pauses += 1;
    if (this.#pauses === 1) for (const deadline of this.#deadlines) deadline.pause();
  }

  resume(): void {
    this.#pauses -= 1;
    if (this.#pauses === 0) for (const deadline of this.#deadlines) deadline.resume();
  }

  end(outcome: RelayResult | AgentFailure): void {
    this.state = "ended";
    if (outcome instanceof Error) this.#done.reject(outcome);
    else this.#done.resolve(outcome);
  }
}

/** Why no turn is started although none has the slot. */
export type HoldReason = "attaching" | "foreign_turn";

export interface TurnQueueOptions {
  /** How many may wait behind the one that has the slot. */
  readonly waitingMax: number;
  /** Called when a turn gets the slot. */
  readonly start: (turn: Turn) => void;
}

export class TurnQueue {
  readonly #options: TurnQueueOptions;
  readonly #waiting: Turn[] = [];
  #active: Turn | undefined;
  readonly #holds = new Set<HoldReason>();

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  /** The turn that has the slot. */
  get active(): Turn | undefined {
    return this.#active;
  }

  get waiting(): number {
    return this.#waiting.length;
  }

  /** False when the queue is full. */
  push(turn: Turn): boolean {
    const free = this.#active === undefined && this.#holds.size === 0;
    if (!free && this.#waiting.length >= this.#options.waitingMax) return false;
    this.#waiting.push(turn);
    this.#startNext();
    return true;
  }

  /** Gives the slot to a turn that is in flight already; false when another has it. */
  adopt(turn: Turn): boolean {
    if (this.#active !== undefined) return false;
    this.#active = turn;
    turn.state = "sent";
    return true;
  }

  /** The turn that has this key, wherever it is. */
  find(uuid: string): Turn | undefined {
    return this.#active?.uuid === uuid ? this.#active : this.#waiting.find((turn) => turn.uuid === uuid);
  }

  /** Ends a turn, active or waiting, and gives a freed slot to the next. */
  end(turn: Turn, outcome: RelayResult | AgentFailure): void {
    if (turn === this.#active) this.#active = undefined;
    const at = this.#waiting.indexOf(turn);
    if (at !== -1) this.#waiting.splice(at, 1);
    turn.end(outcome);
    this.#startNext();
  }

  /** Ends all that wait, leaving the active turn alone. */
  endWaiting(failure: AgentFailure): void {
    for (const turn of this.#waiting.splice(0)) turn.end(failure);
  }

  hold(reason: HoldReason): void {
    this.#holds.add(reason);
  }

  release(reason: HoldReason): void {
    if (this.#holds.delete(reason)) this.#startNext();
  }

  #startNext(): void {
    if (this.#holds.size > 0 || this.#active !== undefined) return;
    this.#active = this.#waiting.shift();
    if (this.#active === undefined) return;
    this.#active.state = "sent";
    this.#options.start(this.#active);
  }
}

function keepTail(text: string): string {
  return text.length > partialTextCharsMax ? text.slice(-partialTextCharsMax) : text;
}
