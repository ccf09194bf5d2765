import { errorText, type Logger } from "@hl/core/logger.ts";
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import * as z from "zod";
import type { AgentRecord, AgentRecords, RestartDue, TurnOutcome } from "../store/agent-records.ts";
import type { AgentEvent } from "./agent.ts";
import { UsageMeter } from "./agent-usage.ts";
import { uuidOfRelay } from "./relay-message.ts";
import { agentWord } from "./session-id.ts";

const saidModel = z.object({ message: z.object({ model: z.string() }) });

export type AgentState = ClaudeProcess["status"];

/**
 * What is known of one agent: in memory what is so now, in its record what the next daemon cannot read in the log. Whoever tells about a
 * start or an end as an event does so in the same turn of the loop, which makes it one transaction with the record: it is told once.
 */
export class AgentFacts {
  readonly processId: string;
  readonly #record: AgentRecord;
  readonly #records: AgentRecords;
  readonly #logger: Logger;
  state: AgentState;
  pid: number;
  sessionId: string;
  agentVersion: string | undefined;
  /** Turns that have ended. */
  turns: number;
  /** Its present process has been ready. */
  ready: boolean;
  /** Restarts so far, which is also the number of its present process. */
  restarts: number;
  /** Restarts in a row: none of the processes between lived long. */
  attempts: number;
  exitCode: number | undefined;
  /** As it has said it last. */
  model: string | undefined;
  permissionMode: string | undefined;
  lastActivityMs: number | undefined;
  readonly usage: UsageMeter;
  /** Its process has left its pings unanswered; until the next one is ready. */
  isStuck = false;
  /** Of its tree, as it was last seen. */
  memory: Readonly<{ bytes: number; isHigh: boolean }> | undefined;
  #endedMs: number | undefined;

  constructor(record: AgentRecord, records: AgentRecords, logger: Logger) {
    this.#record = record;
    this.#records = records;
    this.#logger = logger;
    this.processId = record.processId;
    this.pid = record.pid ?? 0;
    this.sessionId = record.sessionId;
    this.agentVersion = record.agentVersion;
    this.turns = record.turns;
    this.usage = new UsageMeter(record.usage);
    this.ready = record.readyMs !== undefined;
    this.restarts = record.life;
    this.attempts = record.attempts;
    this.#endedMs = record.endedMs;
    this.exitCode = record.exitCode;
    this.state = this.ready ? "idle" : record.life > 0 ? "restarting" : "starting";
    if (record.restartAtMs !== undefined) this.state = "restarting";
    if (record.endedMs !== undefined) this.state = "ended";
  }

  get workspacePath(): string {
    return this.#record.workspacePath;
  }

  /**
   * @param logPosition the byte behind the line that the event is about
   * @param goesOn the agent has got another message than that of the turn that ends
   */
  onEvent(event: AgentEvent, logPosition: number, goesOn: boolean = false): void {
    if (event.sessionId !== undefined) this.sessionId = event.sessionId;
    this.usage.onEvent(event);
    if (event.type === "agent.message") this.#onModel(event.raw);
    if (event.type === "agent.ready") this.#onMode(event.info.permission_mode);
    if (event.type === "agent.status") this.#become(event.state);
    if (event.type === "agent.ready" && this.ready && event.info.state !== undefined) this.#become(event.info.state);
    if (event.type !== "agent.turn_completed") return;
    const { relayId } = event;
    if (relayId !== undefined && !goesOn) this.#become("idle");
    this.turns += 1;
    this.recordTurnEnd(relayId === undefined ? undefined : uuidOfRelay(relayId), "answered", logPosition);
  }

  recordReady(readyMs: number, agentVersion: string | undefined): void {
    this.ready = true;
    this.agentVersion = agentVersion === undefined ? undefined : agentWord(agentVersion);
    if (this.state === "starting" || this.state === "restarting") this.state = "idle";
    void this.#written(
      this.#records.ready(this.processId, {
        readyMs,
        pid: this.pid,
        agentVersion: this.agentVersion,
        sessionId: this.sessionId,
      }),
    );
  }

  recordTurnEnd(uuid: string | undefined, outcome: TurnOutcome, logPosition: number): void {
    const { turns, sessionId } = this;
    const usage = this.usage.saved;
    void this.#written(this.#records.endTurn(this.processId, { uuid, outcome, turns, sessionId, logPosition, usage }));
  }

  /** Answers whether it is on disk. @param cut how a turn in flight has ended with it */
  recordEnd(endedMs: number, exitCode: number, cut: TurnOutcome): Promise<boolean> {
    this.state = "ended";
    this.exitCode = exitCode;
    this.#endedMs = endedMs;
    return this.#written(this.#records.end(this.processId, endedMs, exitCode, cut));
  }

  /** The process has ended and another is to follow. Answers whether that is on disk. */
  recordRestartDue(due: RestartDue): Promise<boolean> {
    this.state = "restarting";
    this.ready = false;
    this.exitCode = due.exitCode;
    this.attempts = due.attempts;
    return this.#written(this.#records.restartDue(this.processId, due));
  }

  /** Before the next process is started, so that none is ever unknown to the daemon that comes next. Rejects where it cannot be written. */
  async recordNextLife(sessionId: string): Promise<void> {
    await this.#records.beginLife(this.processId, this.restarts + 1, sessionId);
    this.restarts += 1;
    this.sessionId = sessionId;
    this.exitCode = undefined;
  }

  get protocol(): string {
    return this.#record.protocol;
  }

  describe(): ClaudeProcess {
    return {
      process_id: this.processId,
      pid: this.pid,
      status: this.state,
      session_id: this.sessionId,
      protocol: this.protocol,
      workspace_path: this.#record.workspacePath,
      ...(this.agentVersion === undefined ? {} : { agent_version: this.agentVersion }),
      started_at: this.#record.startedMs / 1000,
      ...(this.#endedMs === undefined ? {} : { ended_at: this.#endedMs / 1000 }),
      ...(this.exitCode === undefined ? {} : { exit_code: this.exitCode }),
      turns: this.turns,
      usage: this.usage.total,
      restarts: this.restarts,
      ...(this.memory === undefined ? {} : { memory_mb: Math.round(this.memory.bytes / 2 ** 20) }),
    };
  }

  #onModel(raw: unknown): void {
    const model = saidModel.safeParse(raw).data?.message.model;
    if (model !== undefined) this.model = agentWord(model);
  }

  #onMode(mode: string | undefined): void {
    if (mode !== undefined) this.permissionMode = agentWord(mode);
  }

  #become(state: "idle" | "running" | "requires_action"): void {
    if (this.state !== "stopping" && this.state !== "ended" && this.state !== "restarting") this.state = state;
  }

  async #written(write: Promise<void>): Promise<boolean> {
    try {
      await write;
      return true;
    } catch (error) {
      const facts = { process_id: this.processId, error: errorText(error) };
      this.#logger.error(facts, "the agent's record could not be written");
      return false;
    }
  }
}
