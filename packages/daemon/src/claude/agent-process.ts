import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { settledWithin } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { LogCursor } from "../runner/log-cursor.ts";
import type { EndRecord } from "../runner/records.ts";
import type { Run } from "../runner/run.ts";
import type { AgentRecords, TurnRecord } from "../store/agent-records.ts";
import type { AgentEvent } from "./agent.ts";
import { judgedBy, type ToolJudge } from "./tool-judge.ts";
import type { AgentFacts } from "./agent-facts.ts";
import type { OnAgentEvent } from "./event-place.ts";
import { callersError, exitCodeOf, startFailureText } from "./agent-failure.ts";
import { AgentInput, type MessageEnd } from "./agent-input.ts";
import type { AgentEngine } from "./engine.ts";
import type { AskedSession, ProcessEnd } from "./process-bounds.ts";
import { protocolOf } from "./protocols.ts";
import { ProgramOutput } from "../runner/program-output.ts";
import { promptOf } from "./turn-prompt.ts";
import { Relays, type RelayRequest } from "./relays.ts";

export interface AgentProcessOptions {
  readonly facts: AgentFacts;
  readonly run: Run;
  /** The byte of its log behind the last line whose effects are recorded. */
  readonly logPosition: number;
  /** False for a process of before with secrets that nobody knows any more (X4). */
  readonly areSecretsKnown: boolean;
  readonly asked?: AskedSession | undefined;
  /** The log with the output of a turn that an earlier process of the agent had. */
  readonly earlierLog: (turn: TurnRecord) => Promise<LogCursor | undefined>;
  readonly records: AgentRecords;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly turnsWaitingMax: number;
  readonly lineBytesMax: number;
  /** Of its output at a time. */
  readonly readBytesMax?: number | undefined;
  /** Behind each message to it; a newline where it is not given. Both are understood from it. */
  readonly messageEnd?: MessageEnd | undefined;
  /** Without one nobody can be asked, and no answer means deny (A3). */
  readonly judge?: ToolJudge | undefined;
  readonly onEvent: OnAgentEvent;
  /** What is to be waited for before more of the agent is read; without it nothing is. */
  readonly pace?: ((processId: string) => Promise<void> | undefined) | undefined;
  readonly onReady: () => void;
  /** Records the end; answers whether it is on disk. */
  readonly onEnded: (end: ProcessEnd) => Promise<boolean>;
}

export interface AgentWork {
  /** Of the turn in flight. */
  readonly relayId: string | undefined;
  /** Relays that wait behind it. */
  readonly waiting: number;
}

const killGraceMs = 2_000;

/**
 * One process of an agent: the protocol engine joined to the shim that holds the process. Begun by us, or found again after a restart of the
 * daemon and attached to (P3): everything about it is then derived from its small record and its log. What follows it is its supervisor's.
 * States: starting → idle ⇄ running ⇄ requires_action → stopping → ended.
 */
export class AgentProcess {
  readonly facts: AgentFacts;
  readonly #options: AgentProcessOptions;
  readonly #engine: AgentEngine;
  readonly #input: AgentInput;
  readonly #output: ProgramOutput;
  readonly #relays: Relays;
  readonly #ended = Promise.withResolvers<boolean>();
  /** What is read now was said to an earlier life of the daemon. */
  #past = false;
  #turnUnknown = false;
  #stopAsked = false;
  #failedBy: string | undefined;
  #killed = false;
  /** Its end is told; the agent's state is no longer this process's. */
  #isOver = false;

  constructor(options: AgentProcessOptions) {
    const { facts, run, records, clock, lineBytesMax, turnsWaitingMax, earlierLog } = options;
    const { processId, restarts: life } = facts;
    this.#options = options;
    this.facts = facts;
    this.facts.pid = run.pid;
    const logPosition = (): number => this.#output.position;
    this.#input = new AgentInput({
      ...{ processId, life, run, records, logPosition, messageEnd: options.messageEnd },
      turns: () => this.facts.turns,
      onTurn: ({ relayId, line }) =>
        this.#tell({ type: "agent.turn_started", relayId, sessionId: this.facts.sessionId, message: promptOf(line) }),
      onTornTurn: ({ uuid }) => this.facts.recordTurnEnd(uuid, "unknown", logPosition()),
    });
    const protocol = protocolOf(facts.protocol);
    const { sessionId: id, workspacePath } = facts;
    this.#engine = protocol.engine({
      session: { id, workspacePath, resume: false, ...options.asked, known: facts.ready },
      endInput: () => this.#input.end(),
      write: (line) => this.#input.write(line),
      writeTurn: (turn) => this.#input.writeTurn(turn),
      ...{ clock, lineBytesMax, turnsWaitingMax, newId: randomUUID },
      onEvent: (event) => this.#onEvent(event),
      ...(options.judge === undefined ? {} : judgedBy(options.judge, facts, life)),
    });
    this.#output = new ProgramOutput({
      ...{ run, reader: this.#engine, from: options.logPosition, readBytesMax: options.readBytesMax },
      pace: () => options.pace?.(processId),
    });
    this.#relays = new Relays({
      ...{ processId, protocol, engine: this.#engine, records, clock, lineBytesMax },
      cursor: async (turn) => ((turn.life ?? 0) === life ? run.cursor(turn.beganAt) : earlierLog(turn)),
      sessionId: () => this.facts.sessionId,
      facts: () => this.#failureFacts(),
    });
  }

  /** Resolves when the process and all it started have ended and its output was read; true when that was asked for. */
  get ended(): Promise<boolean> {
    return this.#ended.promise;
  }

  /** One that we have just started: waits until it answers; ends it and says why when it does not. */
  async begin(timeoutMs: number): Promise<void> {
    void this.#follow();
    await this.#makeReady(timeoutMs);
  }

  /** One of before: resolves when what it said meanwhile is read. It goes on to be asked what is open there; relays wait for that. */
  async attach(startTimeoutMs: number): Promise<void> {
    const { run, records, logger } = this.#options;
    const { processId } = this.facts;
    this.#engine.attach();
    const became: string[] = [];
    for (const turn of records.openTurns(processId)) {
      const fate = await this.#input.settle(turn);
      became.push(fate);
      if (fate === "unsent") await records.dropTurn(processId, turn.uuid);
      else this.#engine.adopt(turn.relayId, turn.steered);
    }
    this.#turnUnknown = became.includes("unknown");
    if (this.#engine.turnInFlight !== undefined) this.facts.state = "running";
    this.#past = true;
    await this.#output.catchUp();
    this.#past = false;
    const found = {
      process_id: processId,
      pid: run.pid,
      state: this.facts.state,
      turns: became,
      ended: run.end?.reason,
    };
    logger.info(found, "found an agent of before");
    const alive = run.end === undefined;
    void this.#follow();
    if (!alive) return;
    // One that was ready and hangs is waited for: its relays have time limits of their own.
    const answer = this.facts.ready ? this.#engine.initialize(undefined) : this.#makeReady(startTimeoutMs);
    answer.catch((error: unknown) => {
      logger.warn({ process_id: processId, error: errorText(error) }, "an agent of before does not answer");
    });
  }

  /** What it is doing at present. */
  get work(): AgentWork {
    return { relayId: this.#engine.turnInFlight?.relayId, waiting: this.#engine.turnsWaiting };
  }

  /** Rejects with the errors of claude/relay. */
  relay(request: RelayRequest): Promise<unknown> {
    return this.#relays.relay(request);
  }

  /** Answers whether a turn was in flight. */
  async interrupt(): Promise<boolean> {
    const busy = this.facts.state === "running" || this.facts.state === "requires_action";
    try {
      await this.#engine.interrupt();
    } catch (error) {
      throw callersError(error, this.#failureFacts());
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
    if (!this.#isOver) {
      this.facts.state = "stopping";
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

  /** Milliseconds until it answered. Rejects with an `AgentFailure`. */
  ping(timeoutMs: number): Promise<number> {
    return this.#engine.ping(timeoutMs);
  }

  /** Ends it as one that has failed. @param why told with its end */
  fail(why: string): void {
    this.#failedBy ??= why;
    this.#options.run.stop("cancelled", killGraceMs);
  }

  /** The daemon goes and the agent stays, with the turn in flight: the next daemon attaches to it. */
  detach(): void {
    this.#input.detach();
    this.#output.stop();
    this.#relays.detach(); // First: they are told why.
    this.#engine.abandon();
    this.#options.run.detach();
  }

  async #makeReady(timeoutMs: number): Promise<void> {
    try {
      const info = await this.#engine.initialize(timeoutMs);
      this.facts.pid = this.#options.run.pid; // Where the start was lost and found again it was not known before.
      this.facts.recordReady(this.#options.clock.wallMs(), info.agent_version);
      this.#options.onReady();
    } catch (error) {
      if (this.#input.detached) throw error;
      await this.stop({ force: true, timeoutMs: 0 });
      const text = `the agent failed to start: ${startFailureText(error, timeoutMs, this.#options.run.end)}`;
      throw new HlError("claude_unavailable", text, this.#failureFacts(), { cause: error });
    }
  }

  async #follow(): Promise<void> {
    const { run, logger } = this.#options;
    try {
      await this.#output.follow();
    } catch (error) {
      const facts = { process_id: this.facts.processId, error: errorText(error) };
      logger.error(facts, "reading the agent's output failed");
      run.stop("cancelled", killGraceMs);
    }
    if (!this.#output.stopped) await this.#finish(await run.ended);
  }

  async #finish(end: EndRecord): Promise<void> {
    const { run, clock, onEnded } = this.#options;
    const unconfirmed = this.#engine.turnsSent.some(({ confirmed }) => !confirmed);
    const cut = this.#turnUnknown && unconfirmed ? "unknown" : "cut";
    const signal = end.signal === undefined ? null : String(end.signal);
    const { stderrTail } = this.#output;
    this.#isOver = true;
    this.#engine.closed({ code: end.exitCode ?? null, signal, stderrTail });
    const endedMs = end.endedMs === 0 ? clock.wallMs() : end.endedMs; // 0: nobody saw it.
    this.facts.pid = run.pid;
    const recorded = onEnded({ end, endedMs, exitCode: exitCodeOf(end), stderrTail, cut, failedBy: this.#failedBy });
    if (!this.#stopAsked) run.stop("cancelled", 0); // It died by itself: its tools and servers go with it (P1).
    await run.empty;
    // Only now may the shim leave: until then its end record is the only one, and where ours cannot be written the next daemon reads it (P3).
    if (await recorded) run.release();
    this.#ended.resolve(this.#stopAsked);
  }

  #onEvent(event: AgentEvent): void {
    this.facts.lastActivityMs = this.#options.clock.wallMs();
    const { areSecretsKnown } = this.#options;
    const goesOn = this.#engine.turnsSent.some(({ relayId }) => relayId !== event.relayId);
    // The name of a session is a word of the agent too, and goes into everything.
    const told = areSecretsKnown ? event : { ...event, sessionId: undefined };
    this.facts.onEvent(told, this.#output.position, goesOn);
    this.#relays.tell(event);
    this.#tell(event);
  }

  #tell(event: AgentEvent): void {
    // Of a gap its end, so that what follows is behind it.
    const position = this.#output.position + (event.type === "agent.gap" ? event.bytes : 0);
    const { run, areSecretsKnown, onEvent } = this.#options;
    const told = areSecretsKnown ? event : { ...event, sessionId: undefined };
    onEvent(this.facts, told, { runId: run.id, position, past: this.#past, areSecretsKnown });
  }

  #failureFacts(): Record<string, unknown> {
    const { processId, exitCode } = this.facts;
    return { process_id: processId, exit_code: exitCode, stderr_tail: this.#output.stderrTail };
  }
}
