/**
 * Relays as turns: who waits for which turn and for how long, and what is remembered of it. Whoever knows the agent's protocol makes the
 * lines and says when a turn has ended.
 *
 * Every relay settles (A1): by the end of its turn, by its time limit (the turn is then interrupted, and given `interruptGraceMs` to
 * end), by its signal (likewise), or by the end of the process. Claude Code silently swallows a uuid that it has seen in the same
 * process, so a relay id that was sent once is answered from memory and never written again (A2).
 * The time limit of a steered relay is its own: the turn that it was steered into is another's, and goes on.
 */
import type { Clock } from "@hl/core/clock.ts";
import { AgentFailure, type RelayResult } from "./agent.ts";
import { PausableDeadline } from "./pausable-deadline.ts";
import { uuidOfRelay } from "./relay-message.ts";
import { duplicateOf, relayResultWithoutMessage } from "./relay-result.ts";
import { Turn, TurnQueue, type HoldReason } from "./turn-queue.ts";

/** How long a relay may take, and what makes it one of its own. */
export interface RelayOptions {
  /** Sent again with the same id it is not run twice. */
  readonly relayId: string;
  /** From the call on, waiting in the queue included; stands still while a permission of its turn is open. */
  readonly timeoutMs: number;
  readonly signal?: AbortSignal | undefined;
  /** Sent while a turn runs in place of waiting for its end; only in protocols that have a way for it. */
  readonly steer?: boolean | undefined;
}

export interface TurnsOptions {
  readonly clock: Clock;
  readonly turnsWaitingMax: number;
  readonly interruptGraceMs: number;
  /** Relay ids that this process has seen and ended before. */
  readonly relayIdsKnown: readonly string[];
  /** Writes the turn's line. Rejects with an `AgentFailure` where nothing was written. */
  readonly send: (turn: Turn) => Promise<void>;
  readonly interrupt: () => void;
  /** Takes back a steered turn that the agent has not begun with, if it still can. */
  readonly takeBack?: ((turn: Turn) => void) | undefined;
  /** @param shared another turn that has ended now was told with the same result */
  readonly onEnded: (turn: Turn, result: RelayResult, shared: boolean) => void;
  /** A turn that its caller has given up was interrupted and has not ended within the grace. It keeps the slot unless this ends it. */
  readonly onUnconfirmed?: ((turn: Turn) => void) | undefined;
}

/** Relay ids that are remembered; a longer history belongs into the daemon's journal. */
const relaysRememberedMax = 10_000;

export class Turns {
  readonly #options: TurnsOptions;
  readonly #queue: TurnQueue;
  /** By uuid, oldest first, without texts and raw messages. */
  readonly #remembered: Map<string, RelayResult | undefined>;
  #closed: AgentFailure | undefined;
  #sessionId: string | undefined;

  constructor(options: TurnsOptions) {
    this.#options = options;
    this.#remembered = new Map(options.relayIdsKnown.map((relayId) => [uuidOfRelay(relayId), undefined]));
    this.#queue = new TurnQueue({ waitingMax: options.turnsWaitingMax, start: (turn) => void this.#start(turn) });
  }

  get active(): Turn | undefined {
    return this.#queue.active;
  }

  /** The turn in flight, then those that were steered into it. */
  get sent(): readonly Turn[] {
    return this.#queue.sent;
  }

  get waiting(): number {
    return this.#queue.waiting;
  }

  async relay(line: string, options: RelayOptions): Promise<RelayResult> {
    const uuid = uuidOfRelay(options.relayId);
    if (this.#closed)
      throw new AgentFailure("exited", this.#closed.message, { ...this.#closed.facts, sent: false }, this.#closed);
    if (options.signal?.aborted === true)
      throw new AgentFailure("cancelled", "The relay was cancelled.", { sent: false });
    const running = this.#queue.find(uuid);
    if (running) return await this.#wait(running, options, false);
    if (this.#remembered.has(uuid)) return duplicateOf(this.#remembered.get(uuid), this.#sessionId);
    const turn = new Turn(options.relayId, uuid, line, options.steer);
    if (!this.#queue.push(turn)) {
      const why = `A turn is in flight and ${this.#queue.waiting} relays wait behind it; send this one again later.`;
      throw new AgentFailure("busy", why, { sent: false });
    }
    return await this.#wait(turn, options, true);
  }

  /** Takes up a turn that an earlier life of the daemon has sent to this process. Whoever relays its id again joins it. */
  adopt(relayId: string, steered: boolean = false): void {
    const turn = new Turn(relayId, uuidOfRelay(relayId), "", steered);
    this.#queue.adopt(turn);
    this.#remember(turn.uuid, undefined);
  }

  onSession(sessionId: string): void {
    this.#sessionId = sessionId;
  }

  /** No turn is started until what holds them is released. */
  hold(reason: HoldReason): void {
    this.#queue.hold(reason);
  }

  release(reason: HoldReason): void {
    this.#queue.release(reason);
  }

  /** The agent is done with the turn. */
  end(turn: Turn, result: RelayResult, shared: boolean = false): void {
    this.#remember(turn.uuid, { ...result, text: "", raw: null });
    this.#options.onEnded(turn, result, shared);
    this.#queue.end(turn, result);
  }

  /** As `end`, where the agent had done with it before and did nothing now. */
  endDuplicate(turn: Turn): void {
    this.end(turn, duplicateOf(undefined, this.#sessionId));
  }

  /** The agent is idle and the turn's end is in output that is no longer there. */
  endLost(): void {
    const message = "The turn has ended; its result is no longer in the log (process_management.log_bytes_max).";
    for (const turn of this.#queue.sent.filter(({ lineSkipped }) => lineSkipped)) {
      this.end(turn, relayResultWithoutMessage({ kind: "limit", message }, turn.partialText, this.#sessionId));
    }
  }

  /** A part of the output is not read: it may have been the result of any of them. */
  skipped(): void {
    for (const turn of this.#queue.sent) turn.lineSkipped = true;
  }

  /** No more turns: the ones that wait are rejected, what was sent may still end. */
  refuse(failure: AgentFailure): void {
    this.#closed ??= failure;
    this.#queue.endWaiting(new AgentFailure(failure.kind, failure.message, { ...failure.facts, sent: false }, failure));
  }

  /** The process is gone and with it what was sent. */
  close(failure: AgentFailure): void {
    this.#closed = failure;
    this.refuse(failure);
    for (const turn of this.#queue.sent) {
      const facts = { ...failure.facts, sent: true, turnEnded: true, partialText: turn.partialText };
      this.#queue.end(turn, new AgentFailure(failure.kind, failure.message, facts, failure));
    }
  }

  async #start(turn: Turn): Promise<void> {
    this.#remember(turn.uuid, undefined);
    try {
      await this.#options.send(turn);
    } catch (cause) {
      if (turn.state === "ended") return;
      if (cause instanceof AgentFailure) this.#remembered.delete(turn.uuid);
      const why = `The agent's standard input cannot be written: ${String(cause)}`;
      const failure =
        cause instanceof AgentFailure ? cause : new AgentFailure("exited", why, { sent: true, turnEnded: true }, cause);
      this.#queue.end(turn, failure);
    }
  }

  #remember(uuid: string, result: RelayResult | undefined): void {
    this.#remembered.set(uuid, result);
    const [oldest] = this.#remembered.keys();
    if (this.#remembered.size > relaysRememberedMax && oldest !== undefined) this.#remembered.delete(oldest);
  }

  /** The owner's patience is the turn's: when it ends the turn is stopped. Who only asked for the same relay id just leaves. */
  async #wait(turn: Turn, { timeoutMs, signal }: RelayOptions, owner: boolean): Promise<RelayResult> {
    const gaveUp = Promise.withResolvers<"timeout" | "cancelled">();
    const deadline = new PausableDeadline(this.#options.clock, timeoutMs, () => gaveUp.resolve("timeout"));
    const onAbort = (): void => gaveUp.resolve("cancelled");
    signal?.addEventListener("abort", onAbort, { once: true });
    turn.addDeadline(deadline);
    try {
      const first = await Promise.race([turn.done, gaveUp.promise]);
      if (typeof first !== "string") return first;
      const sent = turn.state !== "queued";
      const turnEnded = owner && (await this.#stop(turn));
      const why = first === "timeout" ? `No answer within ${timeoutMs} ms` : "The relay was cancelled";
      const facts = { sent, turnEnded, partialText: turn.partialText };
      throw new AgentFailure(first, `${why}; ${this.#fateOf(turn, facts)}.`, facts);
    } finally {
      signal?.removeEventListener("abort", onAbort);
      turn.removeDeadline(deadline);
    }
  }

  #fateOf(turn: Turn, { sent, turnEnded }: Readonly<{ sent: boolean; turnEnded: boolean }>): string {
    if (!sent) return "it was never sent";
    if (turnEnded) return turn.steered ? "it was taken back, or its turn was ended" : "the turn was interrupted";
    return turn.steered ? "the agent goes on with it" : "the agent has not confirmed its end";
  }

  /** Resolves when the turn has ended, or when it has not within the grace. */
  async #stop(turn: Turn): Promise<boolean> {
    if (turn.state === "queued") {
      this.#queue.end(
        turn,
        new AgentFailure("cancelled", "The relay was taken back before it was sent.", { sent: false }),
      );
      return true;
    }
    const isAnothers = turn !== this.#queue.active;
    if (isAnothers && turn.state === "started") return false;
    if (isAnothers) this.#options.takeBack?.(turn);
    else this.#options.interrupt();
    const grace = Promise.withResolvers<false>();
    const cancelTimer = this.#options.clock.after(this.#options.interruptGraceMs, () => grace.resolve(false));
    const ended = turn.done.then(
      () => true,
      () => true,
    );
    const confirmed = await Promise.race([ended, grace.promise]);
    cancelTimer();
    if (!confirmed) this.#options.onUnconfirmed?.(turn);
    return confirmed;
  }
}
