/**
 * What the stream-json adapter is built with.
 */
import type { Clock } from "@hl/core/clock.ts";
import type { AgentEvent } from "./agent.ts";
import type { OnPermission } from "./permissions.ts";
import type { OnToolUse } from "./tool-hook.ts";
import type { Turn } from "./turn-queue.ts";

export interface StreamJsonOptions {
  /** Takes one line with its end. A promise is awaited only to learn that it failed: lines never wait for one another here. */
  readonly write: (line: string) => void | Promise<void>;
  /** Takes the line of a turn in place of `write`; rejects with an `AgentFailure` where it has written nothing. */
  readonly writeTurn?: ((turn: Turn) => Promise<void>) | undefined;
  readonly clock: Clock;
  /** Ids for control requests; unique in this process. */
  readonly newId: () => string;
  /** 64 MiB is right for Claude Code: an answer of 5 MB is one line, and is repeated in the result. */
  readonly lineBytesMax: number;
  readonly onEvent: (event: AgentEvent) => void;
  /** Without it every request is denied. */
  readonly onPermission?: OnPermission | undefined;
  /** Judges every tool call before it runs; without it none is looked at. */
  readonly onToolUse?: OnToolUse | undefined;
  /** The agent has said which permission requests are open there. */
  readonly onAttached?: ((openRequests: readonly string[]) => void) | undefined;
  /** Relays that may wait behind the one in flight; 16 by default. */
  readonly turnsWaitingMax?: number | undefined;
  /** How long a turn may take to end after an interrupt; 2000 by default (a running tool is killed within 1.5 s). */
  readonly interruptGraceMs?: number | undefined;
  /**
   * Relay ids that this process has seen and ended in an earlier life of the daemon. The agent swallows them without a word, so they
   * are answered as duplicates without being sent.
   */
  readonly relayIdsKnown?: readonly string[] | undefined;
}

export const turnsWaitingMaxDefault = 16;
export const interruptGraceMsDefault = 2_000;
export const endSessionMsDefault = 3_000;
/** The longest that an answer to `system/ping` or `system/info` is waited for. */
export const jsonRpcMsMax = 10_000;
