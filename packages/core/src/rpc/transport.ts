import type { EncodedMessage } from "./encoded-message.ts";

/**
 * Carries whole messages between two peers. Implementations: ndjson.ts (unix socket), websocket.ts, memory.ts.
 * HTTP has no connection to speak of and is served by answer.ts alone.
 */
export interface Transport {
  /** Begins delivery; called exactly once. */
  open(receiver: TransportReceiver): void;
  /**
   * Sends one message. Resolves when the other side has taken enough that more may be sent (back-pressure, P5);
   * rejects when the connection is closed. Callers that answer a single request need not wait.
   */
  send(message: string | EncodedMessage): Promise<void>;
  /**
   * Stops reading, so that a consumer that is slow slows the sender down instead of filling our memory (P5, P7).
   * A few messages that were read already may still be delivered; what the other side's deadlines do is up to it.
   */
  pause(): void;
  resume(): void;
  /** Closes in order; idempotent. */
  close(reason: string): void;
}

export interface TransportReceiver {
  message(text: string): void;
  /** Input that is no message: too large, not UTF-8, binary. The connection goes on unless `closed` follows. */
  problem(problem: TransportProblem): void;
  closed(reason: string): void;
}

export interface TransportProblem {
  readonly kind: "too_large" | "not_text";
  readonly message: string;
}

/** Limits every transport keeps; the numbers come from `input_validation` and `local_api`. */
export interface TransportLimits {
  /** A larger message is refused before it is buffered whole. */
  readonly messageBytesMax: number;
  /** Above this many unsent bytes `send` waits. */
  readonly highWaterBytes: number;
  /** A reader that takes nothing for so long while bytes are waiting is cut off. */
  readonly writeDeadlineMs: number;
  /** A message that has begun must end within this time. */
  readonly partialMessageMs: number;
  /**
   * Stop reading while the other side does not take what we send: a caller that asks and never reads then holds a
   * bounded amount of our memory (P7). For servers only: two ends that both did so could wait for each other.
   */
  readonly pauseReadsWhenFull: boolean;
}

export const defaultTransportLimits: TransportLimits = {
  messageBytesMax: 10 * 1024 * 1024,
  highWaterBytes: 1024 * 1024,
  writeDeadlineMs: 30_000,
  partialMessageMs: 30_000,
  pauseReadsWhenFull: false,
};
