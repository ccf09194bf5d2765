/**
 * The turns of one agent: one at a time, the others in the order they came (A1: two lines written at once would share one result).
 * Only a steered one is written while another has the slot. The agent takes it into that turn, or makes a turn of it next: so it ends with
 * a result that names it, or has the slot when the one before it ends, ahead of all that wait.
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
  /** Its line is written, or was, while another turn has the slot. */
  steered: boolean;
  /** Settles when the agent is done with the turn, not when a caller has lost patience. */
  readonly done: Promise<RelayResult>;
  state: "queued" | "sent" | "started" | "ended" = "queued";
  /** The agent has said that it has the message. */
  confirmed = false;
  /** A line was too long to be read during this turn; it may have been the result. */
  lineSkipped = false;
  /** The agent has taken it into another turn and says that it is over; the result of that turn, which is its own too, comes behind. */
  resultDue: "completed" | "cancelled" | undefined;
  readonly #done = Promise.withResolvers<RelayResult>();
  readonly #deadlines = new Set<PausableDeadline>();
  /** Steered into this one: their clocks stand still with its. */
  readonly #riders = new Set<Turn>();
  #pauses = 0;
  #finishedText = "";
  #streamedText = "";

  constructor(relayId: string, uuid: string, line: string, steered: boolean = false) {
    this.relayId = relayId;
    this.uuid = uuid;
    this.line = line;
    this.steered = steered;
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
    for (const rider of this.#riders) rider.pause();
  }

  resume(): void {
    this.#pauses -= 1;
    if (this.#pauses === 0) for (const deadline of this.#deadlines) deadline.resume();
    for (const rider of this.#riders) rider.resume();
  }

  carry(rider: Turn): void {
    this.#riders.add(rider);
    for (let n = 0; n < this.#pauses; n += 1) rider.pause();
  }

  end(outcome: RelayResult | AgentFailure): void {
    this.state = "ended";
    for (const rider of this.#riders) for (let n = 0; n < this.#pauses; n += 1) rider.resume();
    this.#riders.clear();
    if (outcome instanceof Error) this.#done.reject(outcome);
    else this.#done.resolve(outcome);
  }
}

/** Why no turn is started although none has the slot. */
export type HoldReason = "attaching" | "foreign_turn";

export interface TurnQueueOptions {
  /** How many may wait behind the one that has the slot, steered ones included. */
  readonly waitingMax: number;
  /** Called when a turn gets the slot, or is steered into the one that has it. */
  readonly start: (turn: Turn) => void;
}

export class TurnQueue {
  readonly #options: TurnQueueOptions;
  readonly #waiting: Turn[] = [];
  #active: Turn | undefined;
  /** Written while another had the slot, in that order. */
  #steered: Turn[] = [];
  readonly #holds = new Set<HoldReason>();

  constructor(options: TurnQueueOptions) {
    this.#options = options;
  }

  /** The turn that has the slot. */
  get active(): Turn | undefined {
    return this.#active;
  }

  /** The one that has the slot, then those that were steered into it. */
  get sent(): readonly Turn[] {
    return this.#active === undefined ? [] : [this.#active, ...this.#steered];
  }

  /** With those that were steered and have not the slot. */
  get waiting(): number {
    return this.#waiting.length + this.#steered.length;
  }

  /** False when the queue is full. */
  push(turn: Turn): boolean {
    const free = this.#active === undefined && this.#holds.size === 0;
    if (!free && this.waiting >= this.#options.waitingMax) return false;
    this.#waiting.push(turn);
    this.#startNext();
    return true;
  }

  /** Takes up a turn that is in flight already. It has the slot, or where another has it was steered into that one. */
  adopt(turn: Turn): void {
    turn.state = "sent";
    if (this.#active === undefined) this.#active = turn;
    else this.#ride(this.#active, turn);
  }

  /** The turn that has this key, wherever it is. */
  find(uuid: string): Turn | undefined {
    return [...this.sent, ...this.#waiting].find((turn) => turn.uuid === uuid);
  }

  /** Ends a turn, wherever it is, and gives a freed slot to the next. */
  end(turn: Turn, outcome: RelayResult | AgentFailure): void {
    if (turn === this.#active) this.#active = undefined;
    this.#steered = this.#steered.filter((one) => one !== turn);
    const at = this.#waiting.indexOf(turn);
    if (at !== -1) this.#waiting.splice(at, 1);
    turn.end(outcome);
    this.#promote();
    this.#startNext();
  }

  /** Ends all that wait, leaving alone what was sent. */
  endWaiting(failure: AgentFailure): void {
    for (const turn of this.#waiting.splice(0)) turn.end(failure);
  }

  hold(reason: HoldReason): void {
    this.#holds.add(reason);
  }

  release(reason: HoldReason): void {
    if (this.#holds.delete(reason)) this.#startNext();
  }

  /** What the agent has got already is next. */
  #promote(): void {
    if (this.#active !== undefined) return;
    const [next, ...others] = this.#steered;
    this.#active = next;
    this.#steered = [];
    if (next !== undefined) for (const turn of others) this.#ride(next, turn);
  }

  #ride(active: Turn, turn: Turn): void {
    this.#steered.push(turn);
    active.carry(turn);
  }

  #startNext(): void {
    if (this.#holds.size > 0) return;
    if (this.#active === undefined) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#active = next;
      next.steered = false;
      this.#start(next);
    }
    for (const turn of this.#waiting.filter(({ steered }) => steered)) this.#steer(turn);
  }

  #steer(turn: Turn): void {
    const active = this.#active;
    const at = this.#waiting.indexOf(turn);
    if (active === undefined || at === -1) return;
    this.#waiting.splice(at, 1);
    this.#ride(active, turn);
    this.#start(turn);
  }

  #start(turn: Turn): void {
    turn.state = "sent";
    this.#options.start(turn);
  }
}

function keepTail(text: string): string {
  return text.length > partialTextCharsMax ? text.slice(-partialTextCharsMax) : text;
}
