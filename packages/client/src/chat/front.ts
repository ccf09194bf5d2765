import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { claudeRelay } from "@hl/protocol/methods/claude-relay.ts";
import type { ResultOf } from "@hl/protocol/method.ts";

export type TurnAnswer = ResultOf<typeof claudeRelay>;

export interface ShowOptions {
  readonly showThinking: boolean;
}

/** Where a conversation meets its person or program. It is told everything in order and asked for one message at a time. */
export interface ChatFront extends Disposable {
  /** The next message, or undefined for the end of the conversation. */
  next(): Promise<string | undefined>;
  turnBegins(): void;
  /** As `claude/subscribe` or `claude/message` told it. Answers whether there is room for more. */
  item(item: ToldItem): boolean;
  turnEnded(answer: TurnAnswer): void;
  /** The turn is over without an answer, and the conversation goes on. */
  turnFailed(error: unknown): void;
  /** A permission request, or what became of it. */
  approval(approval: Approval): void;
  /** What waits is told anew. */
  approvalsReset(): void;
  notice(text: string): void;
  /** Before the end: resolves when nobody else has the terminal any more. */
  atRest(): Promise<void>;
  drained(signal: AbortSignal): Promise<void>;
}

export interface ToldItem {
  readonly process_id: string;
  readonly type: string;
  readonly data?: unknown;
  /** Of `data`, which was cut. */
  readonly omitted_bytes?: number | undefined;
}
