import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import { followRun } from "../runner/follow.ts";
import type { EndRecord } from "../runner/records.ts";
import type { Run } from "../runner/run.ts";
import { AgentFailure, type AgentEvent, type AgentInfo, type ExitInfo } from "./agent.ts";
import { StreamJsonAgent } from "./stream-json.ts";

export interface AgentProcessOptions {
  readonly processId: string;
  readonly run: Run;
  readonly sessionId: string;
  readonly workspacePath: string;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turnsWaitingMax: number;
  readonly lineBytesMax: number;
  readonly onEvent: (agent: AgentProcess, event: AgentEvent) => void;
}

export interface RelayRequest {
  readonly message: unknown;
  readonly relayId: string;
  readonly timeoutMs: number;
  readonly signal: AbortSignal;
  readonly onEvent: (event: AgentEvent) => void;
}

export type AgentState = ClaudeProcess["status"];

const stderrTailBytes = 2_048;
const killGraceMs = 2_000;

/**
 * One agent process: the protocol engine joined to the shim that holds the process.
 * States: starting → idle ⇄ running ⇄ requires_action → stopping → ended.
 */
export class AgentProcess {
  readonly processId: string;
  readonly #options: AgentProcessOptions;
  readonly #engine: StreamJsonAgent;
  readonly #ended = Promise.withResolvers<boolean>();
  readonly #relayListeners = new Map<string, (event: AgentEvent) => void>();
  readonly #startedMs: number;
  #state: AgentState = "starting";
  #info: AgentInfo | undefined;
  #sessionId: string;
  #stderr = "";
  #turns = 0;
  #stopAsked = false;
  #killed = false;
  #end: EndRecord | undefined;

  constructor(options: AgentProcessOptions) {
    this.#options = options;
    this.processId = options.processId;
    this.#sessionId = options.sessionId;
    this.#startedMs = options.clock.wallMs();
    this.#engine = new StreamJsonAgent({
      write: async (line) => {
        if (!(await options.run.input(Buffer.from(line)))) throw new Error("the agent no longer reads");
      },
      clock: options.clock,
      newId: randomUUID,
      lineBytesMax: options.lineBytesMax,
      turnsWaitingMax: options.turnsWaitingMax,
      onEvent: (event) => this.#onEvent(event),
      // Nobody can be asked yet, and no answer means deny (A3).
      onPermission: async () => ({
        behavior: "deny",
        message: "Nobody can approve this here: approvals are not part of this version of hl-daemon.",
      }),
    });
    this.#pump().catch((error: unknown) => {
      options.logger.error(
        { process_id: this.processId, error: errorText(error) },
        "reading the agent's output failed",
      );
      options.run.stop("cancelled", killGraceMs);
    });
  }

  get pid(): number {
    return this.#options.run.pid;
  }

  get state(): AgentState {
    return this.#state;
  }

  get sessionId(): string {
    return this.#sessionId;
  }

  get info(): AgentInfo | undefined {
    return this.#info;
  }

  get exitCode(): number | undefined {
    return this.#end === undefined ? undefined : exitCodeOf(this.#end);
  }

  /** Resolves when the process has ended and its output was read; true when that was asked for. */
  get ended(): Promise<boolean> {
    return this.#ended.promise;
  }

  /** Waits until the agent answers; ends it and says why when it does not. */
  async ready(timeoutMs: number): Promise<void> {
    try {
      this.#info = await this.#engine.initialize(timeoutMs);
      if (this.#state === "starting") this.#state = "idle";
    } catch (error) {
      await this.stop({ force: true, timeoutMs: 0 });
      const why =
        error instanceof AgentFailure && error.kind === "timeout"
          ? `did not answer within ${timeoutMs} ms`
          : errorText(error);
      throw new HlError("claude_unavailable", `the agent failed to start: ${why}`, this.#facts(), { cause: error });
    }
  }

  async relay(request: RelayRequest): Promise<unknown> {
    const { relayId, message, timeoutMs, signal } = request;
    this.#relayListeners.set(relayId, request.onEvent);
    try {
      return await this.#engine.relay(message, { relayId, timeoutMs, signal });
    } catch (error) {
      throw this.#failure(error);
    } finally {
      this.#relayListeners.delete(relayId);
    }
  }

  /** Answers whether a turn was in flight. */
  async interrupt(): Promise<boolean> {
    const busy = this.#state === "running" || this.#state === "requires_action";
    try {
      await this.#engine.interrupt();
    } catch (error) {
      throw this.#failure(error);
    }
    return busy;
  }

  /**
   * The protocol's own end of session, then SIGTERM, then the whole tree (P1). Never by closing stdin: the agent would
   * finish its turn first. Answers whether it had to be killed.
   */
  async stop(options: Readonly<{ force: boolean; timeoutMs: number }>): Promise<boolean> {
    const { run, clock } = this.#options;
    this.#stopAsked = true;
    if (this.#state !== "ended") {
      this.#state = "stopping";
      if (!options.force) {
        await this.#engine.endSession(Math.max(1, options.timeoutMs)).catch(() => {});
        await settledWithin(clock, options.timeoutMs, run.ended);
      }
      if (run.end === undefined) {
        this.#killed = true;
        run.stop("cancelled", options.force ? 0 : killGraceMs);
      } else {
        run.stop("cancelled", 0); // What it left behind goes too.
      }
    }
    await this.#ended.promise;
    await run.empty;
    return this.#killed;
  }

  describe(): ClaudeProcess {
    const { workspacePath, run } = this.#options;
    return {
      process_id: this.processId,
      pid: run.pid,
      status: this.#state,
      session_id: this.#sessionId,
      protocol: "stream-json",
      workspace_path: workspacePath,
      ...(this.#info?.agent_version === undefined ? {} : { agent_version: this.#info.agent_version }),
      started_at: this.#startedMs / 1000,
      ...(this.#end === undefined ? {} : { ended_at: this.#end.endedMs / 1000, exit_code: exitCodeOf(this.#end) }),
      turns: this.#turns,
    };
  }

  forget(): Promise<void> {
    return this.#options.run.forget();
  }

  async #pump(): Promise<void> {
    const { run } = this.#options;
    for await (const { chunks } of followRun(run, 0, new AbortController().signal)) {
      for (const { stream, data } of chunks) {
        if (stream === "stdout")
          this.#engine.receive(Buffer.from(data)); // The cursor's buffer is used again.
        else this.#stderr = (this.#stderr + data.toString("utf8")).slice(-stderrTailBytes);
      }
    }
    const end = await run.ended;
    this.#end = end;
    this.#state = "ended";
    const exit: ExitInfo = {
      code: end.exitCode ?? null,
      signal: end.signal === undefined ? null : String(end.signal),
      stderrTail: this.#stderr,
    };
    this.#engine.closed(exit);
    if (!this.#stopAsked) run.stop("cancelled", 0); // It died by itself: its tools and servers go with it (P1).
    await run.empty;
    run.release();
    this.#ended.resolve(this.#stopAsked);
  }

  #onEvent(event: AgentEvent): void {
    if (event.sessionId !== undefined) this.#sessionId = event.sessionId;
    if (event.type === "agent.status" && this.#state !== "stopping" && this.#state !== "ended")
      this.#state = event.state;
    if (event.type === "agent.turn_completed") this.#turns += 1;
    if (event.relayId !== undefined) this.#relayListeners.get(event.relayId)?.(event);
    this.#options.onEvent(this, event);
  }

  #facts(): Record<string, unknown> {
    return { process_id: this.processId, exit_code: this.exitCode, stderr_tail: this.#stderr };
  }

  #failure(error: unknown): unknown {
    if (!(error instanceof AgentFailure)) return error;
    const facts = { ...this.#facts(), ...error.facts };
    switch (error.kind) {
      case "timeout":
        return new HlError("claude_timeout", error.message, facts, { cause: error });
      case "busy":
        return new HlError("claude_busy", error.message, facts, { cause: error });
      case "invalid_message":
        return new HlError("invalid_params", `message: ${error.message}`, facts, { cause: error });
      case "cancelled":
        return new HlError("request_cancelled", error.message, facts, { cause: error });
      case "exited":
      case "control_refused":
        return new HlError("claude_exited", error.message, facts, { cause: error });
    }
  }
}

/** As a shell counts: 128 and the signal, where a signal ended it. */
function exitCodeOf(end: EndRecord): number {
  return end.exitCode ?? (end.signal === undefined ? -1 : 128 + end.signal);
}
