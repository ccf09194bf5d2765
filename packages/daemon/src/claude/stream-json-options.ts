/**
 * What the stream-json adapter is built with.
 */
import type { EngineOptions } from "./engine.ts";

export interface StreamJsonOptions extends Omit<EngineOptions, "endInput" | "session"> {
  /**
   * Relay ids that this process has seen and ended in an earlier life of the daemon. The agent swallows them without a word, so they
   * are answered as duplicates without being sent.
   */
  readonly relayIdsKnown?: readonly string[] | undefined;
}

export const turnsWaitingMaxDefault = 16;
/** A running tool is killed within 1.5 s. */
export const interruptGraceMsDefault = 2_000;
export const endSessionMsDefault = 3_000;
/** The longest that an answer to `system/ping` or `system/info` is waited for. */
export const jsonRpcMsMax = 10_000;
