// Nearly long: statements about two tables that change together.
import type { Database } from "./database.ts";

/**
 * What is known of agents across restarts of the daemon, as far as their logs do not tell it (P3): who they are, which relay is in
 * flight, and up to where their output is accounted for. One write when a turn starts and one when it ends; none for what comes
 * between.
 */
export interface AgentRecord {
  /** Also names its runs. */
  readonly processId: string;
  readonly sessionId: string;
  readonly workspacePath: string;
  readonly protocol: string;
  readonly startedMs: number;
  /** Number of its process, from 0; each has a run of its own. What follows is of that process. */
  readonly life: number;
  /** Restarts in a row. */
  readonly attempts: number;
  /** The process has ended, which is recorded, and the next begins then. */
  readonly restartAtMs: number | undefined;
  /** What it is started with again; undefined for one that cannot be. */
  readonly launch: string | undefined;
  /** Undefined until it has been ready once. */
  readonly readyMs: number | undefined;
  readonly pid: number | undefined;
  readonly agentVersion: string | undefined;
  /** Turns that have ended. */
  readonly turns: number;
  /** The byte of its log behind the last line whose effects are recorded. */
  readonly logPosition: number;
  readonly endedMs: number | undefined;
  readonly exitCode: number | undefined;
  /** What its turns have used, by name. */
  readonly usage: Usage;
}

export type Usage = Readonly<Record<string, number>>;

/** How a turn is over: the agent has answered it, it ended first, or it is not known whether it has even got the message. */
export type TurnOutcome = "answered" | "cut" | "unknown";

export interface TurnRecord {
  readonly processId: string;
  /** Of the process that had the message; the first where it is missing. */
  readonly life?: number | undefined;
  /** The agent's key for the relay. */
  readonly uuid: string;
  readonly relayId: string;
  /** Its line was written while another turn was in flight. */
  readonly steered?: boolean | undefined;
  readonly lineHash: string;
  readonly lineBytes: number;
  /** The line itself, where it does not fit into one frame and could be cut by a crash; only until the turn has ended. */
  readonly line: Uint8Array | undefined;
  /** Where the line begins in the agent's standard input. */
  readonly inputOffset: number;
  /** Where its output begins in the log. */
  readonly beganAt: number;
  readonly endedAt: number | undefined;
  /** Undefined while it is in flight. */
  readonly outcome: TurnOutcome | undefined;
}

export interface TurnEnd {
  /** Undefined for a turn that the agent began by itself. */
  readonly uuid: string | undefined;
  readonly outcome: TurnOutcome;
  /** Turns that have ended, this one included. */
  readonly turns: number;
  readonly sessionId: string;
  readonly logPosition: number;
  /** Of all of them. */
  readonly usage: Usage;
}

/** The end of a process behind which another begins. */
export interface RestartDue {
  readonly restartAtMs: number;
  readonly attempts: number;
  readonly exitCode: number;
  /** How a turn in flight has ended with it. */
  readonly cut: TurnOutcome;
}

/** A relay id sent again is answered from its record as long as the agent has had no more turns since. */
export const turnsKeptMax = 10_000;

/** Its key in meta. */
const forgottenUsage = "agent_usage_forgotten";

type Value = string | number | Uint8Array | null;
type Row = Readonly<Record<string, Value>>;

export class AgentRecords {
  readonly #database: Database;
  #forgotten: Usage;
  /** Ends are known here before they are on disk. */
  readonly #ending = new Map<string, TurnEnd>();
  /** The same of agents whose process has ended, and with it what was in flight. */
  readonly #cutting = new Map<string, TurnOutcome>();

  constructor(database: Database) {
    this.#database = database;
    this.#forgotten = this.#readForgotten();
  }

  /** Before the process is started, so that none is ever unknown to the daemon that comes next. */
  begin(
    record: Pick<AgentRecord, "processId" | "sessionId" | "workspacePath" | "protocol" | "startedMs"> &
      Partial<Pick<AgentRecord, "launch" | "usage">>,
  ): Promise<void> {
    const { processId, sessionId, workspacePath, protocol, startedMs, launch = null, usage = {} } = record;
    return this.#write(
      "committed",
      "INSERT INTO agents (process_id, session_id, workspace_path, protocol, started_ms, launch, usage) VALUES (?, ?, ?, ?, ?, ?, ?)",
      [processId, sessionId, workspacePath, protocol, startedMs, launch, JSON.stringify(usage)],
    );
  }

  ready(
    processId: string,
    facts: Readonly<{ readyMs: number; pid: number; sessionId: string; agentVersion?: string | undefined }>,
  ): Promise<void> {
    return this.#write(
      "soon",
      "UPDATE agents SET ready_ms = ?, pid = ?, agent_version = ?, session_id = ? WHERE process_id = ?",
      [facts.readyMs, facts.pid, facts.agentVersion ?? null, facts.sessionId, processId],
    );
  }

  /** The first end wins. What was in flight has ended with it. */
  end(processId: string, endedMs: number, exitCode: number, cut: TurnOutcome): Promise<void> {
    return this.#cut(processId, cut, () => {
      this.#run(
        "UPDATE agents SET ended_ms = ?, exit_code = ?, restart_at_ms = NULL, launch = NULL WHERE process_id = ? AND ended_ms IS NULL",
        [endedMs, exitCode, processId],
      );
    });
  }

  /** The process has ended, and with it what was in flight; another is to follow. */
  restartDue(processId: string, { restartAtMs, attempts, exitCode, cut }: RestartDue): Promise<void> {
    return this.#cut(processId, cut, () => {
      this.#run("UPDATE agents SET restart_at_ms = ?, attempts = ?, exit_code = ? WHERE process_id = ?", [
        restartAtMs,
        attempts,
        exitCode,
        processId,
      ]);
    });
  }

  /** As `begin`, for a process that follows another. */
  beginLife(processId: string, life: number, sessionId: string): Promise<void> {
    return this.#database.write(() => {
      this.#run(
        "UPDATE agents SET life = ?, session_id = ?, restart_at_ms = NULL, ready_ms = NULL, pid = NULL, exit_code = NULL, log_position = 0 WHERE process_id = ?",
        [life, sessionId, processId],
      );
      this.#cutTurns(processId, "cut");
    }, "committed");
  }

  /** What it has used stays in the sum of all. */
  async forget(processId: string): Promise<void> {
    this.#forgotten = await this.#database.write(() => {
      const usage = this.#readForgotten();
      for (const [name, value] of Object.entries(this.#usageOf(processId))) usage[name] = (usage[name] ?? 0) + value;
      this.#run("INSERT OR REPLACE INTO meta (key, value) VALUES (?, ?)", [forgottenUsage, JSON.stringify(usage)]);
      this.#run("DELETE FROM agent_turns WHERE process_id = ?", [processId]);
      this.#run("DELETE FROM agent_events WHERE process_id = ?", [processId]);
      this.#run("DELETE FROM agents WHERE process_id = ?", [processId]);
      return usage;
    }, "soon");
  }

  /** What those that are no longer listed have used. */
  get forgottenUsage(): Usage {
    return this.#forgotten;
  }

  /** Oldest first. */
  all(): AgentRecord[] {
    return (this.#database.prepare("SELECT * FROM agents ORDER BY started_ms").all() as Row[]).map(agentOfRow);
  }

  /**
   * Resolves when a crash of the daemon cannot undo it: only then may the line be written. It need not outlive a power cut, in which
   * the agent ends too, so no relay waits for the disk.
   */
  beginTurn(turn: Omit<TurnRecord, "endedAt" | "outcome">, number: number): Promise<void> {
    return this.#database.write(() => {
      const tooOld = number - turnsKeptMax;
      if (tooOld > 0)
        this.#run("DELETE FROM agent_turns WHERE process_id = ? AND number <= ?", [turn.processId, tooOld]);
      this.#run(
        "INSERT OR REPLACE INTO agent_turns (process_id, uuid, relay_id, number, line_hash, line_bytes, line, input_offset, began_at, life, steered) " +
          "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
          turn.processId,
          turn.uuid,
          turn.relayId,
          number,
          turn.lineHash,
          turn.lineBytes,
          turn.line ?? null,
          turn.inputOffset,
          turn.beganAt,
          turn.life ?? 0,
          turn.steered === true ? 1 : 0,
        ],
      );
      if (turn.steered === true) return; // The output of the turn in flight is not accounted for.
      this.#run("UPDATE agents SET log_position = ? WHERE process_id = ?", [turn.beganAt, turn.processId]);
    }, "committed");
  }

  /** Nobody waits for it: until it is written, the log says the same to whoever reads it again from the recorded position. */
  async endTurn(processId: string, end: TurnEnd): Promise<void> {
    const key = `${processId} ${end.uuid}`;
    if (end.uuid !== undefined) this.#ending.set(key, end);
    try {
      await this.#database.write(() => {
        this.#run(
          "UPDATE agents SET turns = ?, session_id = ?, usage = ?, log_position = max(log_position, ?) WHERE process_id = ?",
          [end.turns, end.sessionId, JSON.stringify(end.usage), end.logPosition, processId],
        );
        this.#run(
          "UPDATE agent_turns SET outcome = ?, ended_at = ?, line = NULL WHERE process_id = ? AND uuid = ? AND outcome IS NULL",
          [end.outcome, end.logPosition, processId, end.uuid ?? null],
        );
      }, "soon");
    } finally {
      if (this.#ending.get(key) === end) this.#ending.delete(key);
    }
  }

  /** One that the agent has never got: sent again it is new. */
  dropTurn(processId: string, uuid: string): Promise<void> {
    return this.#write("soon", "DELETE FROM agent_turns WHERE process_id = ? AND uuid = ? AND outcome IS NULL", [
      processId,
      uuid,
    ]);
  }

  findTurn(processId: string, uuid: string): TurnRecord | undefined {
    const select = this.#database.prepare("SELECT * FROM agent_turns WHERE process_id = ? AND uuid = ?");
    const row = select.get(processId, uuid) as Row | undefined;
    if (row === undefined) return undefined;
    const end = this.#ending.get(`${processId} ${uuid}`);
    const turn = turnOfRow(row);
    if (end !== undefined) return { ...turn, outcome: end.outcome, endedAt: end.logPosition };
    return { ...turn, outcome: turn.outcome ?? this.#cutting.get(processId) };
  }

  /** Whether it has ever been sent a message. */
  hasTurns(processId: string): boolean {
    return (
      this.#database.prepare("SELECT 1 FROM agent_turns WHERE process_id = ? LIMIT 1").get(processId) !== undefined
    );
  }

  /** The one in flight and what was steered into it, in the order they were sent. */
  openTurns(processId: string): TurnRecord[] {
    const select = this.#database.prepare(
      "SELECT * FROM agent_turns WHERE process_id = ? AND outcome IS NULL ORDER BY input_offset",
    );
    return (select.all(processId) as Row[]).map(turnOfRow);
  }

  #usageOf(processId: string): Usage {
    const row = this.#database.prepare("SELECT usage FROM agents WHERE process_id = ?").get(processId);
    return parseUsage(row?.["usage"] ?? null);
  }

  #readForgotten(): Record<string, number> {
    const row = this.#database.prepare("SELECT value FROM meta WHERE key = ?").get(forgottenUsage);
    return { ...parseUsage(row?.["value"] ?? null) };
  }

  /** Nobody waits for it, and whoever asks before it is written is told all the same. */
  async #cut(processId: string, cut: TurnOutcome, record: () => void): Promise<void> {
    this.#cutting.set(processId, cut);
    try {
      await this.#database.write(() => {
        record();
        this.#cutTurns(processId, cut);
      }, "soon");
    } finally {
      this.#cutting.delete(processId);
    }
  }

  #cutTurns(processId: string, cut: TurnOutcome): void {
    this.#run("UPDATE agent_turns SET outcome = ?, line = NULL WHERE process_id = ? AND outcome IS NULL", [
      cut,
      processId,
    ]);
  }

  #write(urgency: "soon" | "committed", sql: string, values: readonly Value[]): Promise<void> {
    return this.#database.write(() => this.#run(sql, values), urgency);
  }

  #run(sql: string, values: readonly Value[]): void {
    this.#database.prepare(sql).run(...values);
  }
}

function agentOfRow(row: Row): AgentRecord {
  return {
    processId: row["process_id"] as string,
    sessionId: row["session_id"] as string,
    workspacePath: row["workspace_path"] as string,
    protocol: row["protocol"] as string,
    startedMs: row["started_ms"] as number,
    life: row["life"] as number,
    attempts: row["attempts"] as number,
    restartAtMs: (row["restart_at_ms"] as number | null) ?? undefined,
    launch: (row["launch"] as string | null) ?? undefined,
    readyMs: (row["ready_ms"] as number | null) ?? undefined,
    pid: (row["pid"] as number | null) ?? undefined,
    agentVersion: (row["agent_version"] as string | null) ?? undefined,
    turns: row["turns"] as number,
    logPosition: row["log_position"] as number,
    endedMs: (row["ended_ms"] as number | null) ?? undefined,
    exitCode: (row["exit_code"] as number | null) ?? undefined,
    usage: parseUsage(row["usage"] ?? null),
  };
}

function parseUsage(text: unknown): Usage {
  return typeof text === "string" ? (JSON.parse(text) as Usage) : {};
}

function turnOfRow(row: Row): TurnRecord {
  return {
    processId: row["process_id"] as string,
    life: row["life"] as number,
    uuid: row["uuid"] as string,
    relayId: row["relay_id"] as string,
    steered: row["steered"] === 1,
    lineHash: row["line_hash"] as string,
    lineBytes: row["line_bytes"] as number,
    line: (row["line"] as Uint8Array | null) ?? undefined,
    inputOffset: row["input_offset"] as number,
    beganAt: row["began_at"] as number,
    endedAt: (row["ended_at"] as number | null) ?? undefined,
    outcome: (row["outcome"] as TurnOutcome | null) ?? undefined,
  };
}
