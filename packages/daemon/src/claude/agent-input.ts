import { createHash } from "node:crypto";
import { inputWindowBytes } from "../runner/frames.ts";
import type { Run } from "../runner/run.ts";
import type { AgentRecords, TurnRecord } from "../store/agent-records.ts";
import { AgentFailure } from "./agent.ts";
import type { Turn } from "./turn-queue.ts";

export type MessageEnd = "\n" | "\r\n";

export interface AgentInputOptions {
  readonly processId: string;
  /** Number of the agent's process. */
  readonly life?: number | undefined;
  readonly run: Run;
  readonly records: AgentRecords;
  /** What takes the place of the newline behind each line. */
  readonly messageEnd?: MessageEnd | undefined;
  /** Turns that have ended. */
  readonly turns: () => number;
  /** Where the output of what is written now begins in the log. */
  readonly logPosition: () => number;
  /** It is about to be recorded, in the same transaction as what is told of it here. */
  readonly onTurn: (turn: Turn) => void;
  /** The write that was under way has failed, and whether the agent has the line is not known. */
  readonly onTornTurn: (turn: Turn) => void;
}

/**
 * The agent's standard input: whole lines, one behind the other, so that the count of bytes which the shim keeps says after a crash of
 * the daemon whether it has got a line (P3). A line of at most one frame arrives completely or not at all. Longer ones are possible for
 * turns only; such a line is in the turn's record, so that the next daemon can complete it: a half line would be the end of the agent.
 */
export class AgentInput {
  readonly #options: AgentInputOptions;
  #last: Promise<unknown> = Promise.resolve();
  #detached = false;

  constructor(options: AgentInputOptions) {
    this.#options = options;
  }

  /** Rejects when the agent no longer reads, or when the line does not fit into one frame. */
  write(line: string): Promise<void> {
    const bytes = this.#encoded(line);
    if (bytes.length > inputWindowBytes) {
      return Promise.reject(
        new RangeError(`a control message of ${bytes.length} bytes; ${inputWindowBytes} are possible`),
      );
    }
    return this.#inOrder(() => this.#send(bytes));
  }

  /** Records the turn, then writes its line. Rejects with an `AgentFailure` where nothing was written. */
  writeTurn(turn: Turn): Promise<void> {
    const { processId, life, run, records, turns, logPosition, onTurn, onTornTurn } = this.#options;
    const bytes = this.#encoded(turn.line);
    return this.#inOrder(async () => {
      const inputOffset = await run.inputOffset();
      if (inputOffset === undefined || this.#detached) throw notSent("exited", "the agent's standard input is closed");
      const record = {
        ...{ processId, life, uuid: turn.uuid, relayId: turn.relayId, steered: turn.steered },
        ...{
          lineHash: hashOfLine(turn.line),
          lineBytes: bytes.length,
          line: bytes.length > inputWindowBytes ? bytes : undefined,
        },
        ...{ inputOffset, beganAt: logPosition() },
      };
      onTurn(turn);
      await records.beginTurn(record, turns() + 1).catch((error: unknown) => {
        throw notSent("not_recorded", `the turn could not be recorded: ${String(error)}`, error);
      });
      try {
        await this.#send(bytes);
      } catch (error) {
        if (!this.detached) onTornTurn(turn); // Else the next daemon asks the shim.
        throw error;
      }
    });
  }

  /**
   * What became of a turn that an earlier life of the daemon has recorded. A line of which the shim has got a part is completed here;
   * `unsent` is certain, `unknown` means that the shim has gone and took its count along.
   */
  async settle(turn: TurnRecord): Promise<"sent" | "unsent" | "unknown"> {
    const { run } = this.#options;
    const received = await run.inputOffset();
    if (received === undefined) return "unknown";
    if (received >= turn.inputOffset + turn.lineBytes) return "sent";
    if (received <= turn.inputOffset || run.end !== undefined || turn.line === undefined) return "unsent";
    // Not awaited: the agent takes it when it reads.
    this.#inOrder(() => this.#send(Buffer.from(turn.line ?? []).subarray(received - turn.inputOffset))).catch(() => {});
    return "sent";
  }

  /** It ends behind what was written: for an agent whose protocol has no other end. */
  end(): void {
    void this.#inOrder(async () => {
      const at = await this.#options.run.inputOffset();
      if (!this.#detached && at !== undefined) this.#options.run.inputEof(at);
    });
  }

  /** From now on nothing is written, and what is under way is the next daemon's to judge. */
  detach(): void {
    this.#detached = true;
  }

  get detached(): boolean {
    return this.#detached;
  }

  #encoded(line: string): Buffer {
    const { messageEnd = "\n" } = this.#options;
    return Buffer.from(messageEnd === "\n" ? line : line.replace(/\n$/, messageEnd));
  }

  #inOrder(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work);
    this.#last = done.catch(() => {});
    return done;
  }

  async #send(bytes: Uint8Array): Promise<void> {
    if (this.#detached || (await this.#options.run.input(bytes)) < bytes.length)
      throw new Error("the agent no longer reads");
  }
}

/** What makes two relays with one id the same. */
export function hashOfLine(line: string): string {
  return createHash("sha256").update(line).digest("base64url");
}

function notSent(kind: "exited" | "not_recorded", why: string, cause?: unknown): AgentFailure {
  return new AgentFailure(kind, `The message was not sent: ${why}.`, { sent: false }, cause);
}
