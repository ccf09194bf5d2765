import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { LineTransport } from "@hl/core/rpc/line-transport.ts";
import { cancelMethod, ConnectionClosed, Peer } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf, ResultOf } from "@hl/protocol/method.ts";
import { workspaceLineBytesMax, workspaceMethods, type WorkspaceMethods } from "@hl/protocol/workspace-methods.ts";
import { fromRpcError } from "@hl/protocol/wire-error.ts";
import type { EndRecord } from "../runner/records.ts";
import { ProgramOutput, type LineReader } from "../runner/program-output.ts";
import type { Run } from "../runner/run.ts";

export interface WorkspaceProcessOptions {
  readonly run: Run;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Between its own end and that of its tree; it holds nothing that would have to be saved. */
const killGraceMs = 1_000;
/** From the moment when it reads no more to the news of its end. */
const endToldMsMax = 1_000;

/**
 * One life of hl-workspace: a JSON-RPC peer over the standard input of a run and its log. States: begun → over. When it is over every call
 * in flight has been answered with an error (never silence), and its shim and folders have gone.
 */
export class WorkspaceProcess {
  readonly #options: WorkspaceProcessOptions;
  readonly #transport: LineTransport;
  readonly #peer: Peer;
  readonly #output: ProgramOutput;
  readonly #ended = Promise.withResolvers<undefined>();
  #end: EndRecord | undefined;

  constructor(options: WorkspaceProcessOptions) {
    const { run, clock } = options;
    this.#options = options;
    this.#transport = new LineTransport({
      lineBytesMax: workspaceLineBytesMax,
      write: (bytes) => this.#write(bytes),
      close: () => run.stop("cancelled", killGraceMs),
    });
    this.#peer = new Peer({ transport: this.#transport, clock });
    const reader: LineReader = {
      receive: (chunk) => this.#transport.receive(chunk),
      // Cannot be, as long as answers are bounded as they are (workspace.ts); half a conversation is none.
      lost: (bytes) => this.#transport.close(`${bytes} bytes of its answers were lost`),
    };
    this.#output = new ProgramOutput({ run, reader, from: 0 });
  }

  /** Resolves with the reason when nothing can be asked of it any more. */
  get closed(): Promise<string> {
    return this.#peer.closed;
  }

  /** Resolves when it has gone, with its tree, its shim and its folder. */
  get ended(): Promise<undefined> {
    return this.#ended.promise;
  }

  get pid(): number {
    return this.#options.run.pid;
  }

  begin(): void {
    this.#peer.open();
    void this.#follow();
  }

  /** Rejects with the errors of the method, `workspace_lost`, or the signal's reason. */
  async call<Name extends keyof WorkspaceMethods>(
    method: Name,
    params: InputOf<WorkspaceMethods[Name]>,
    options: { readonly signal?: AbortSignal; readonly timeoutMs?: number; readonly id?: string } = {},
  ): Promise<ResultOf<WorkspaceMethods[Name]>> {
    try {
      return (await this.#peer.request(method, params, options)) as ResultOf<WorkspaceMethods[Name]>;
    } catch (error) {
      if (!(error instanceof ConnectionClosed)) throw callersError(error);
      const { exitCode, signal } = this.#end ?? {};
      const stderrTail = this.#output.stderrTail;
      const facts = { exit_code: exitCode, signal, ...(stderrTail === "" ? {} : { stderr_tail: stderrTail }) };
      throw new HlError("workspace_lost", `hl-workspace did not answer ${method}: ${error.message}`, facts, {
        cause: error,
      });
    }
  }

  /**
   * As `call`, and settles only when hl-workspace is through with it, also when the caller has left: the signal then asks for that. One that
   * does not get there within the time of the method never will, and is stopped.
   */
  async callToItsEnd<Name extends keyof WorkspaceMethods>(
    method: Name,
    params: InputOf<WorkspaceMethods[Name]>,
    signal: AbortSignal,
  ): Promise<ResultOf<WorkspaceMethods[Name]>> {
    signal.throwIfAborted();
    const { clock, logger } = this.#options;
    const id = randomUUID();
    const cancel = (): void => void this.#peer.notify(cancelMethod, { id }).catch(() => {});
    const { timeoutMs } = workspaceMethods[method];
    const onStuck = (): void => {
      logger.error({ pid: this.pid, method, ms: timeoutMs }, "hl-workspace is stuck and is stopped");
      void this.stop(`it was stuck for ${timeoutMs} ms`);
    };
    const free = timeoutMs === null ? (): void => {} : clock.after(timeoutMs, onStuck);
    signal.addEventListener("abort", cancel, { once: true });
    try {
      return await this.call(method, params, { id });
    } finally {
      free();
      signal.removeEventListener("abort", cancel);
    }
  }

  async stop(reason = "hl-workspace is stopped"): Promise<void> {
    this.#peer.close(reason); // Which stops the run.
    await this.ended;
  }

  async #write(bytes: Buffer): Promise<void> {
    const { run, clock } = this.#options;
    const taken = await run.input(bytes);
    if (taken === bytes.length) return;
    // Mostly it has ended, and how is told in a moment, which says more.
    const cancel = clock.after(endToldMsMax, () => this.#transport.close("hl-workspace does not read any more"));
    void this.closed.then(cancel);
  }

  async #follow(): Promise<void> {
    const { run, logger } = this.#options;
    try {
      await this.#output.follow();
      this.#end = await run.ended;
    } catch (error) {
      logger.error({ error: errorText(error) }, "reading the answers of hl-workspace failed");
    }
    this.#transport.end(`it has ended (${this.#end === undefined ? "and nobody knows how" : howItEnded(this.#end)})`);
    run.stop("cancelled", 0);
    await Promise.all([run.ended, run.empty]);
    run.release();
    await run.left; // Before that its folder is in use.
    await run
      .forget()
      .catch((error: unknown) => logger.warn({ error: errorText(error) }, "the log of hl-workspace stays"));
    this.#ended.resolve(undefined);
  }
}

function howItEnded({ reason, exitCode, signal }: EndRecord): string {
  if (exitCode !== undefined) return `exit code ${exitCode}`;
  return signal === undefined ? reason : `signal ${signal}`;
}

/** An error of hl-workspace as one of ours: what its message says of the conversation between us is nobody else's business. */
function callersError(error: unknown): unknown {
  const known = fromRpcError(error);
  if (!(known instanceof HlError)) return known;
  const { error_type: _type, request_id: _id, help: _help, retry: _retry, ...facts } = known.facts;
  return new HlError(known.type, known.message, facts, { cause: error });
}
