import { type Fate, unknownEnd } from "./fate.ts";
import { liveUsage, type LiveUsage } from "./live-usage.ts";
import { LogCursor, type LogAxis } from "./log-cursor.ts";
import type { OutputSource } from "./output-source.ts";
import type { EndReason, EndRecord, OutputMark, StartedRecord, StdinKind, TerminalSize } from "./records.ts";
import type { InputTaken } from "./shim-input.ts";
import type { Shim } from "./shim.ts";

/** What a run needs of its runner. */
export interface RunKeeper {
  /** Rejects only when the signal aborts. */
  fate(id: string, signal: AbortSignal): Promise<Fate>;
  remove(id: string): Promise<void>;
}

const nothingYet: OutputMark = { position: 0, stdoutBytes: 0, stderrBytes: 0 };

/**
 * One process tree that a shim holds: started by us, or found again after a restart (P3).
 * States: attached → lost (its fate is being found out) → attached again, or over. A connection that breaks says nothing about the
 * process. What was asked for while it was lost (a stop, the release) is said as soon as it is attached again.
 */
export class Run implements OutputSource {
  readonly id: string;
  readonly directory: string;
  readonly #keeper: RunKeeper;
  readonly #ended = Promise.withResolvers<EndRecord>();
  readonly #empty = Promise.withResolvers<undefined>();
  readonly #left = Promise.withResolvers<undefined>();
  readonly #listeners = new Set<() => void>();
  readonly #detached = new AbortController();
  #shim: Shim | undefined;
  #pid = 0;
  #started: StartedRecord | undefined;
  #end: EndRecord | undefined;
  #isEmpty = false;
  #mark = nothingYet;
  #stop: { readonly reason: EndReason; readonly graceMs: number } | undefined;
  #released = false;
  /** Resolves when it is attached or over; a new one for each loss. */
  #settled = Promise.withResolvers<undefined>();

  constructor(id: string, directory: string, keeper: RunKeeper) {
    this.id = id;
    this.directory = directory;
    this.#keeper = keeper;
  }

  /** Of the main process; 0 before that is known. */
  get pid(): number {
    return this.#pid;
  }

  /** What its tree takes at this moment; undefined without a shim that could be asked, and where nobody can see it. */
  usage(): LiveUsage | undefined {
    // A number that nobody holds may be another's by now.
    return this.#shim === undefined || this.#started === undefined ? undefined : liveUsage(this.#started);
  }

  get ended(): Promise<EndRecord> {
    return this.#ended.promise;
  }

  /** Resolves when no descendant is left (P1). */
  get empty(): Promise<undefined> {
    return this.#empty.promise;
  }

  /** Resolves when its shim has left too, or we have let go of it: as long as it is there nothing of the run can be removed. */
  get left(): Promise<undefined> {
    return this.#left.promise;
  }

  get isEmpty(): boolean {
    return this.#isEmpty;
  }

  get end(): EndRecord | undefined {
    return this.#end;
  }

  get isComplete(): boolean {
    return this.#end !== undefined;
  }

  get output(): OutputMark {
    return this.#mark;
  }

  /** Resolves when it is known whether it lives: attached, or over. */
  get settled(): Promise<undefined> {
    return this.#settled.promise;
  }

  onOutput(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  cursor(from: number, axis: LogAxis = "position"): LogCursor {
    return new LogCursor(this.directory, from, axis);
  }

  /** Answers whether somebody was there to take it. */
  signal(signal: number): boolean {
    this.#shim?.signal(signal, "main");
    return this.#shim !== undefined;
  }

  stop(reason: EndReason, graceMs: number): void {
    this.#stop ??= { reason, graceMs };
    if (graceMs < this.#stop.graceMs) this.#stop = { ...this.#stop, graceMs };
    this.#shim?.stop(reason, graceMs);
  }

  /** Undefined when the shim has left, or is being looked for: see `settled`. */
  get stdin(): StdinKind | undefined {
    return this.#shim?.stdin;
  }

  /** Where the next byte of standard input goes, counted from the first; undefined when its shim has gone. */
  async inputOffset(): Promise<number | undefined> {
    await this.#settled.promise;
    return this.#shim?.inputOffset();
  }

  /**
   * How many of the bytes the program's side has taken: fewer when it no longer reads, or when it cannot be known whether it has.
   * A connection that is lost under them is no reason: the shim knows how far it has got.
   * @param offset of the first byte: what was handed over before is not sent again, and behind that nothing is taken.
   */
  async input(data: Uint8Array, offset?: number): Promise<number> {
    let done: InputTaken = { begin: offset, taken: 0 };
    for (;;) {
      await this.#settled.promise;
      const shim = this.#shim;
      if (shim === undefined) return done.taken;
      done = await shim.input(data, done.begin);
      if (done.taken === data.length || !shim.isClosed || this.isDetached) return done.taken;
      await shim.closed; // Which makes it unsettled, until its fate is known.
    }
  }

  /** @param at the offset where the input ends: asked for there again it is no second end. */
  inputEof(at?: number): void {
    void this.#settled.promise.then(() => this.#shim?.inputEof(at));
  }

  /** Answers whether somebody was there to take it. */
  resize(size: TerminalSize): boolean {
    this.#shim?.resize(size);
    return this.#shim !== undefined;
  }

  release(): void {
    this.#released = true;
    this.#shim?.release();
  }

  get isDetached(): boolean {
    return this.#detached.signal.aborted;
  }

  /** Lets go; the process, its shim and its log go on without us. */
  detach(): void {
    this.#detached.abort();
    this.#shim?.detach();
    this.#left.resolve(undefined);
    this.#settled.resolve(undefined);
  }

  /** Deletes the log and the end record, and ends what may be left. */
  async forget(): Promise<void> {
    await this.#keeper.remove(this.id);
  }

  follow(shim: Shim, started: StartedRecord): void {
    this.#pid = started.pid;
    this.#started = started;
    this.#shim = shim;
    this.#settled.resolve(undefined);
    shim.onOutput(() => this.#grow(shim.output));
    if (shim.output.position > this.#mark.position) this.#grow(shim.output);
    void shim.ended.then((end) => {
      if (end !== undefined) this.#finish(end);
    });
    void shim.empty.then(() => {
      if (!shim.isClosed) this.#becomeEmpty();
    });
    void shim.closed.then(() => this.lost());
    if (this.#stop !== undefined) shim.stop(this.#stop.reason, this.#stop.graceMs);
    if (this.#released) void shim.ended.then(() => shim.release()); // Before END it would be ignored.
    if (this.#detached.signal.aborted) shim.detach();
  }

  /** Finds out what became of it. Nothing is left to find out of one that is over, and of one that we let go nobody asks. */
  async lost(): Promise<void> {
    this.#shim = undefined;
    if (this.#detached.signal.aborted || this.#isEmpty) {
      this.#left.resolve(undefined);
      return;
    }
    this.#settled = Promise.withResolvers();
    const fate = await this.#keeper.fate(this.id, this.#detached.signal).catch(() => undefined);
    if (fate === undefined) this.#settled.resolve(undefined);
    else this.meet(fate);
  }

  meet(fate: Fate): void {
    if (fate.kind === "lives") {
      this.follow(fate.shim, fate.started);
      return;
    }
    if (fate.kind === "ended") {
      this.#pid = fate.end.pid;
      this.#finish(fate.end);
      if (fate.output.position > this.#mark.position) this.#grow(fate.output);
    } else {
      const written = fate.kind === "unseen" && fate.output.position > this.#mark.position ? fate.output : this.#mark;
      this.#finish(unknownEnd(this.#pid, written));
    }
    this.#becomeEmpty();
    this.#left.resolve(undefined);
    this.#settled.resolve(undefined);
  }

  #grow(mark: OutputMark): void {
    this.#mark = mark;
    for (const listener of this.#listeners) listener();
  }

  #finish(end: EndRecord): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#ended.resolve(end);
    this.#grow(end);
  }

  #becomeEmpty(): void {
    this.#isEmpty = true;
    this.#empty.resolve(undefined);
  }
}
