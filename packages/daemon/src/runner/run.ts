import { readFile, rm } from "node:fs/promises";
import { join } from "node:path";
import { LogCursor, type LogAxis } from "./log-cursor.ts";
import { endRecordOfFile, type EndReason, type EndRecord, type OutputMark } from "./records.ts";
import { Shim } from "./shim.ts";

/**
 * One process tree that a shim holds: started by us, or found again after a restart (P3).
 * If the connection breaks the run attaches again; only when the shim itself is gone does the end record, or its
 * absence, decide (P2: `unknown` is said, never guessed).
 */
export class Run {
  readonly id: string;
  readonly directory: string;
  readonly pid: number;
  readonly #ended = Promise.withResolvers<EndRecord>();
  readonly #empty = Promise.withResolvers<undefined>();
  readonly #listeners = new Set<() => void>();
  #shim: Shim | undefined;
  #end: EndRecord | undefined;
  #detached = false;
  #mark: OutputMark;

  constructor(id: string, directory: string, shim: Shim | undefined, pid: number) {
    this.id = id;
    this.directory = directory;
    this.pid = pid;
    this.#shim = shim;
    this.#mark = shim?.output ?? { position: 0, stdoutBytes: 0, stderrBytes: 0 };
    if (shim !== undefined) this.#follow(shim);
  }

  /** A run whose shim has left: its end record is all there is. Undefined when it left none. */
  static async ofEndFile(id: string, directory: string): Promise<Run | undefined> {
    const end = await readEndFile(directory);
    if (end === undefined) return undefined;
    const run = new Run(id, directory, undefined, end.pid);
    run.#finish(end);
    if (end.pipesStillOpen) run.#mark = await markOfLog(run, end);
    run.#empty.resolve(undefined);
    return run;
  }

  get ended(): Promise<EndRecord> {
    return this.#ended.promise;
  }

  /** Resolves when no descendant is left (P1). */
  get empty(): Promise<undefined> {
    return this.#empty.promise;
  }

  get end(): EndRecord | undefined {
    return this.#end;
  }

  /** What may be read from the log. */
  get output(): OutputMark {
    return this.#mark;
  }

  /** Calls back after every growth of the log and at the end; the returned function stops that. */
  onOutput(listener: () => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  cursor(from: number, axis: LogAxis = "position"): LogCursor {
    return new LogCursor(this.directory, from, axis);
  }

  signal(signal: number): void {
    this.#shim?.signal(signal, "main");
  }

  stop(reason: EndReason, graceMs: number): void {
    this.#shim?.stop(reason, graceMs);
  }

  async input(data: Uint8Array): Promise<boolean> {
    return (await this.#shim?.input(data)) ?? false;
  }

  inputEof(): void {
    this.#shim?.inputEof();
  }

  release(): void {
    this.#shim?.release();
  }

  /** Lets go; the process, its shim and its log go on without us. */
  detach(): void {
    this.#detached = true;
    this.#shim?.detach();
  }

  /** Deletes the log and the end record. A shim that is just leaving may still be writing its end there. */
  async forget(): Promise<void> {
    await rm(this.directory, { recursive: true, force: true, maxRetries: 3 });
  }

  #follow(shim: Shim): void {
    this.#shim = shim;
    shim.onOutput(() => {
      this.#mark = shim.output;
      for (const listener of this.#listeners) listener();
    });
    void shim.ended.then((end) => {
      if (end !== undefined) this.#finish(end);
    });
    void shim.empty.then(() => {
      if (!shim.isClosed) this.#empty.resolve(undefined);
    });
    void shim.closed.then(() => this.#lost());
  }

  async #lost(): Promise<void> {
    if (this.#detached) return;
    if (this.#end !== undefined) {
      this.#empty.resolve(undefined); // The shim leaves only after its tree.
      return;
    }
    const again = await Shim.connect(join(this.directory, "attach.sock")).catch(() => undefined);
    if (again !== undefined) {
      this.#follow(again);
      return;
    }
    this.#finish((await readEndFile(this.directory)) ?? unknownEnd(this.pid, this.#mark));
    this.#empty.resolve(undefined);
  }

  #finish(end: EndRecord): void {
    if (this.#end !== undefined) return;
    this.#end = end;
    this.#mark = end;
    this.#ended.resolve(end);
    for (const listener of this.#listeners) listener();
  }
}

async function readEndFile(directory: string): Promise<EndRecord | undefined> {
  const bytes = await readFile(join(directory, "end")).catch(() => undefined);
  return bytes === undefined ? undefined : endRecordOfFile(bytes);
}

/** How far the log goes when its writer has left: what lived on may have written behind the end (P4). */
async function markOfLog(run: Run, end: OutputMark): Promise<OutputMark> {
  const total = { stdout: end.stdoutBytes, stderr: end.stderrBytes };
  await using cursor = run.cursor(end.position);
  for (;;) {
    const { chunks } = await cursor.read(Number.MAX_SAFE_INTEGER);
    if (chunks.length === 0) break;
    for (const { stream, offset, data } of chunks) total[stream] = offset + data.length;
  }
  return { position: total.stdout + total.stderr, stdoutBytes: total.stdout, stderrBytes: total.stderr };
}

function unknownEnd(pid: number, mark: OutputMark): EndRecord {
  return {
    ...mark,
    reason: "unknown",
    exitCode: undefined,
    signal: undefined,
    pid,
    startedMs: 0,
    endedMs: 0,
    durationMs: 0,
    maxRssMb: 0,
    cpuMs: 0,
    pipesStillOpen: false,
    droppedBytes: 0,
  };
}
