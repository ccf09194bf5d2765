import { createConnection, type Socket } from "node:net";
import { constants } from "node:os";
import { errorText } from "@hl/core/logger.ts";
import { encodeFrame, frameType, FrameReader, tag, type Field, type Frame } from "./frames.ts";
import { runnerProbe, type RunnerProbe } from "./probe.ts";
import {
  endRecord,
  outputMark,
  StartFailed,
  type EndReason,
  type EndRecord,
  type OutputMark,
  type StartedRecord,
  type StartRequest,
  type StdinKind,
  type TerminalSize,
} from "./records.ts";
import { ShimInput, type InputTaken } from "./shim-input.ts";
import { startFrame } from "./start-frame.ts";

/**
 * One connection to one shim. States: fresh (a shim is forked and waits) → started | failed → ended → empty → closed.
 * The shim outlives this object (P3): losing the connection says nothing about the process.
 */
export class Shim {
  readonly #socket: Socket;
  readonly #reader = new FrameReader();
  readonly #started = Promise.withResolvers<StartedRecord>();
  readonly #ended = Promise.withResolvers<EndRecord | undefined>();
  readonly #probed = Promise.withResolvers<RunnerProbe>();
  readonly #empty = Promise.withResolvers<undefined>();
  readonly #closed = Promise.withResolvers<string>();
  readonly #input = new ShimInput({
    send: (type, fields) => this.#send(type, fields),
    isLost: () => this.#socket.destroyed,
  });
  #output: OutputMark = { position: 0, stdoutBytes: 0, stderrBytes: 0 };
  #onOutput: (() => void) | undefined;
  #stdin: StdinKind = "pipe";
  #closeReason: string | undefined;

  constructor(socket: Socket) {
    this.#socket = socket;
    // Whoever does not wait for a promise does not want an unhandled rejection from it either.
    this.#started.promise.catch(() => {});
    socket.on("data", (chunk: Buffer) => this.#receive(chunk));
    socket.on("error", (error) => (this.#closeReason ??= error.message));
    socket.on("close", () => this.#onClose());
  }

  /** Connects to the resident (a fresh shim) or to an `attach.sock` (a shim that runs). */
  static connect(path: string): Promise<Shim> {
    return new Promise((resolve, reject) => {
      const socket = createConnection(path);
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(new Shim(socket));
      });
    });
  }

  /** Rejects with `StartFailed`, or with the reason why the connection was lost. */
  get started(): Promise<StartedRecord> {
    return this.#started.promise;
  }

  /** Undefined when the connection was lost before the end was seen. */
  get ended(): Promise<EndRecord | undefined> {
    return this.#ended.promise;
  }

  /** Resolves when no descendant is left, or the connection is lost. */
  get empty(): Promise<undefined> {
    return this.#empty.promise;
  }

  get closed(): Promise<string> {
    return this.#closed.promise;
  }

  get isClosed(): boolean {
    return this.#socket.destroyed;
  }

  get output(): OutputMark {
    return this.#output;
  }

  get stdin(): StdinKind {
    return this.#stdin;
  }

  /** Called after every growth of the log; one listener. */
  onOutput(listener: () => void): void {
    this.#onOutput = listener;
  }

  /** Bytes of standard input that the shim has got or that are on their way to it, those of a daemon before us included. */
  async inputOffset(): Promise<number | undefined> {
    await this.#input.known;
    return this.#socket.destroyed ? undefined : this.#input.offset;
  }

  /** What can be done before the request is known (`prepareFrame`); what fails is told at the start. */
  prepare(frame: Buffer): void {
    if (!this.#socket.destroyed) this.#socket.write(frame);
  }

  start(request: StartRequest): Promise<StartedRecord> {
    this.#start(request, false);
    return this.started;
  }

  /** Everything but the execution, which waits for `go`; nothing has started when the connection ends before that (C1). */
  hold(request: StartRequest): void {
    this.#start(request, true);
  }

  go(): Promise<StartedRecord> {
    this.#send(frameType.go, []);
    return this.started;
  }

  #start(request: StartRequest, hold: boolean): void {
    this.#input.know();
    try {
      this.#socket.write(startFrame(request, hold));
    } catch (error) {
      // Larger than a frame: to the caller the same as larger than the kernel takes.
      this.#started.reject(new StartFailed("exec", constants.errno.E2BIG, errorText(error)));
      this.detach();
    }
  }

  /**
   * In place of `start`: ends what a run has left whose shim is gone, with `folders` its folders too. Rejects with `StartFailed`
   * (stage `alive`: its shim lives; `log`: a folder stays), or with why the connection was lost.
   */
  async clear(run: {
    readonly id: string;
    readonly folders?: { readonly temporary?: string | undefined };
  }): Promise<void> {
    const fields: Field[] = [[tag.id, run.id]];
    if (run.folders?.temporary !== undefined) fields.push([tag.temporary, run.folders.temporary]);
    this.#send(run.folders === undefined ? frameType.sweep : frameType.remove, fields);
    await Promise.race([this.#started.promise, this.#empty.promise]); // What fails it rejects `started` first.
  }

  /** In place of `start`: what this runner can enforce. Rejects with `StartFailed` where it does not know the question, or with why the connection was lost. */
  async probe(): Promise<RunnerProbe> {
    this.#send(frameType.probe, []);
    await Promise.race([this.#started.promise, this.#probed.promise]); // What fails it rejects `started` first.
    return this.#probed.promise;
  }

  /** @param scope who receives it: the main process or the whole tree. */
  signal(signal: number, scope: "main" | "tree"): void {
    this.#send(frameType.signal, [
      [tag.signal, signal],
      [tag.scope, scope === "main" ? 0 : 2],
    ]);
  }

  stop(reason: EndReason, graceMs: number): void {
    this.#send(frameType.stop, [
      [tag.reason, reason],
      [tag.graceMs, graceMs],
    ]);
  }

  /**
   * Resolves with how many of the bytes the program's pipe or terminal has taken: fewer when it no longer reads, or when that
   * cannot be known. Calls are served in their order, each as a whole.
   * @param offset of the first byte: what was handed over before is not sent again, and behind that nothing is.
   */
  input(data: Uint8Array, offset?: number): Promise<InputTaken> {
    return this.#input.write(data, offset);
  }

  /** @param at where the input ends, for who may ask again: the same end is not sent twice. */
  inputEof(at?: number): Promise<void> {
    return this.#input.end(at);
  }

  resize({ rows, columns }: TerminalSize): void {
    this.#send(frameType.resize, [
      [tag.rows, rows],
      [tag.columns, columns],
    ]);
  }

  /** The end is recorded on our side; the shim may leave as soon as its tree is empty. */
  release(): void {
    this.#send(frameType.release, []);
  }

  /** Lets go without a word to the process. */
  detach(): void {
    this.#closeReason ??= "detached";
    this.#socket.destroy();
  }

  #send(type: number, fields: readonly Field[]): void {
    if (!this.#socket.destroyed) this.#socket.write(encodeFrame(type, fields));
  }

  #receive(chunk: Buffer): void {
    try {
      for (const frame of this.#reader.push(chunk)) this.#dispatch(frame);
    } catch (error) {
      this.#closeReason ??= (error as Error).message;
      this.#socket.destroy();
    }
  }

  #dispatch({ type, fields }: Frame): void {
    switch (type) {
      case frameType.started:
        this.#stdin = stdinKindOf(fields.number(tag.stdin));
        this.#started.resolve({
          pid: fields.number(tag.pid) ?? 0,
          shimPid: fields.number(tag.shimPid) ?? 0,
          cgroup: fields.text(tag.cgroup),
        });
        return;
      case frameType.failed: {
        const stage = fields.text(tag.stage) ?? "unknown";
        const message = fields.text(tag.message) ?? "the shim gave no reason";
        // After STARTED it refuses the one frame that it names; somebody waits for INPUT only, and none will be taken any more.
        if (message.startsWith("INPUT:")) {
          this.#input.close();
        }
        this.#started.reject(new StartFailed(stage, fields.number(tag.errno) ?? 0, message));
        return;
      }
      case frameType.output:
        this.#output = outputMark(fields);
        this.#onOutput?.();
        return;
      case frameType.inputTaken:
        this.#input.onTaken(fields);
        return;
      case frameType.end: {
        const end = endRecord(fields);
        this.#output = end;
        this.#ended.resolve(end);
        this.#input.know(); // INPUT_TAKEN comes before it, where there is one.
        this.#onOutput?.();
        return;
      }
      case frameType.probed:
        this.#probed.resolve(runnerProbe(fields));
        return;
      case frameType.empty:
        this.#empty.resolve(undefined);
        return;
    }
  }

  #onClose(): void {
    const reason = this.#closeReason ?? "the shim closed the connection";
    this.#started.reject(new Error(reason));
    this.#ended.resolve(undefined);
    this.#empty.resolve(undefined);
    this.#input.lose();
    this.#closed.resolve(reason);
  }
}

/** A shim of an older hl-runner does not say; then input is tried. */
function stdinKindOf(code: number | undefined): StdinKind {
  if (code === undefined) return "pipe";
  return code === 2 ? "terminal" : code === 1 ? "pipe" : "null";
}
