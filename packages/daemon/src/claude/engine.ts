/**
 * What an agent's process needs of the engine that speaks its protocol. An engine is pure: it is fed the bytes of the agent's stdout and
 * hands out lines for its stdin; processes, timers, ids and the disk come from outside. There is one for each protocol.
 */
import type { Clock } from "@hl/core/clock.ts";
import type { AgentEvent, AgentInfo, ExitInfo, RelayResult } from "./agent.ts";
import type { OnPermission } from "./permissions.ts";
import type { OnToolUse } from "./tool-hook.ts";
import type { Turn } from "./turn-queue.ts";
import type { RelayOptions } from "./turns.ts";

/** The conversation that an engine begins or goes on with. */
export interface EngineSession {
  /** One that the agent has begun may have another id: it is in the events. */
  readonly id: string;
  readonly workspacePath: string;
  /** The caller asked to go on with the conversation of this id. */
  readonly resume: boolean;
  /** Where the conversation cannot be gone on with, a new one is begun; else that is a failure. */
  readonly orNew?: boolean | undefined;
  /** How much the agent may do without asking, in its own words, where the caller has asked for it. */
  readonly mode?: string | undefined;
  /** An earlier life of the daemon has had this agent ready. */
  readonly known: boolean;
}

export interface EngineOptions {
  /** Takes one line with its end. A promise is awaited only to learn that it failed: lines never wait for one another here. */
  readonly write: (line: string) => void | Promise<void>;
  /** Takes the line of a turn in place of `write`; rejects with an `AgentFailure` where it has written nothing. */
  readonly writeTurn?: ((turn: Turn) => Promise<void>) | undefined;
  /** Ends the agent's standard input behind what was written; only for protocols in which that is the end of the session. */
  readonly endInput: () => void;
  readonly clock: Clock;
  /** Ids for our requests; unique in this process. */
  readonly newId: () => string;
  /** 64 MiB is right for Claude Code: an answer of 5 MB is one line, and is repeated in the result. */
  readonly lineBytesMax: number;
  readonly onEvent: (event: AgentEvent) => void;
  /** Without it every request is denied. */
  readonly onPermission?: OnPermission | undefined;
  /** Judges every tool call before it runs, in protocols that have a hook for it (stream-json). */
  readonly onToolUse?: OnToolUse | undefined;
  /** The agent has said, or shown, which permission requests are open there. */
  readonly onAttached?: ((openRequests: readonly string[]) => void) | undefined;
  /** Relays that may wait behind the one in flight; 16 by default. */
  readonly turnsWaitingMax?: number | undefined;
  /** How long a turn may take to end after an interrupt; 2000 by default. */
  readonly interruptGraceMs?: number | undefined;
  readonly session: EngineSession;
}

export interface AgentEngine {
  /** Bytes of the agent's stdout, in any portions. */
  receive(chunk: Uint8Array): void;
  /** Bytes of the output are missing before the next ones. */
  lost(bytes: number): void;
  /** Before the first `receive` on a process of before: what comes is its past, and no turn is started, until it answers `initialize`. */
  attach(): void;
  /**
   * After `attach`: takes up a relay that an earlier life of the daemon has sent, those of one turn in the order they were sent. Its result
   * is taken from the output. @param steered it was sent while another turn was in flight
   */
  adopt(relayId: string, steered?: boolean): void;
  /** Resolves when the agent is ready. Without a time limit it waits as long as the process lives. */
  initialize(timeoutMs: number | undefined): Promise<AgentInfo>;
  /** The answer as callers get it. Rejects with an `AgentFailure`: `timeout`, `exited`, `busy`, `cancelled` or `invalid_message`. */
  relay(message: unknown, options: RelayOptions): Promise<unknown>;
  /** The turn that has the slot. */
  readonly turnInFlight: Turn | undefined;
  /** That turn, then what was steered into it. */
  readonly turnsSent: readonly Turn[];
  /** Relays that wait behind it, steered ones included. */
  readonly turnsWaiting: number;
  /** Ends the turn in flight and what was steered into it, which then answer with an `interrupted` error; without one it does nothing. */
  interrupt(): Promise<void>;
  /** Milliseconds until the agent answered; a late answer means that it hangs. */
  ping(timeoutMs: number): Promise<number>;
  /** Asks the agent to end, its turn first. Resolves when it has agreed or has gone. */
  endSession(timeoutMs: number): Promise<void>;
  /** The process has ended and its output has been read: rejects all that waits. */
  closed(exit: ExitInfo): void;
  /** The process goes on without us: rejects all that waits, as `cancelled`. */
  abandon(): void;
}

/** What can be asked of a protocol without an agent at hand. */
export interface AgentProtocol {
  readonly name: AgentInfo["protocol"];
  engine(options: EngineOptions): AgentEngine;
  /** The line of the turn that the message would begin; undefined where it begins none. Throws `invalid_message`. */
  turnLine(message: unknown, relayId: string, sessionId: string): string | undefined;
  /** What a caller gets for the result of a turn that was read in the log again. */
  response(result: RelayResult, message: unknown): unknown;
}
