/**
 * A conversation without a terminal: each line of standard input is a message and waits for the end of the turn before. What the agent
 * does is written as text, or with `--json` as the protocol's own objects, one a line. Permission requests are told; others decide them.
 */
import { LineSplitter } from "@hl/core/rpc/line-splitter.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { Readable } from "node:stream";
import { ClientFailure, tell } from "../failure.ts";
import { inputBytesMax } from "../read-all.ts";
import { gistOf } from "../render/approval.ts";
import { escapeLine, escapeText } from "../render/escape.ts";
import type { Session } from "../session.ts";
import { agentItemOf } from "./agent-item.ts";
import type { ChatFront, ShowOptions, ToldItem, TurnAnswer } from "./front.ts";
import { Transcript } from "./transcript.ts";
import { turnOutcomeOf } from "./turn-outcome.ts";

export class LineFront implements ChatFront {
  readonly #session: Session;
  readonly #transcript: Transcript;
  readonly #input: Readable;
  readonly #lines: AsyncIterator<string, undefined>;
  #failed = false;
  /** Nothing more is read. */
  #closed = false;

  constructor(session: Session, options: ShowOptions) {
    this.#session = session;
    const { paint, out } = session;
    this.#transcript = new Transcript({ paint, ...options, columns: () => out.columns });
    this.#input = session.ports.stdin();
    this.#lines = linesOf(this.#input, session.signal);
  }

  /** Whether a turn has ended in an error. */
  get failed(): boolean {
    return this.#failed;
  }

  close(): void {
    this.#closed = true;
  }

  async next(): Promise<string | undefined> {
    while (!this.#closed) {
      const { value } = await this.#lines.next();
      if (value === undefined) return undefined;
      if (value.trim() !== "") return value;
    }
    return undefined;
  }

  turnBegins(): void {}

  item(item: ToldItem): boolean {
    if (this.#session.json) return this.#session.printJson(item);
    const text = this.#transcript.item(agentItemOf(item.type, item.data, item.omitted_bytes));
    return text === "" || this.#session.out.write(text);
  }

  turnEnded(answer: TurnAnswer): void {
    const outcome = turnOutcomeOf(answer.response);
    this.#failed ||= outcome.isError;
    if (this.#session.json) this.#session.printJson(answer);
    else this.#session.out.write(this.#transcript.end(outcome, answer.execution_time));
  }

  turnFailed(error: unknown): void {
    this.#failed = true;
    this.notice(tell(error).message);
  }

  approval(approval: Approval): void {
    if (this.#session.json) {
      this.#session.printJson(approval);
      return;
    }
    const { approval_id, state, tool_name } = approval;
    const what = escapeLine(`${tool_name} ${gistOf(approval)}`);
    const how = state === "pending" ? `waits: hl-client approvals approve ${approval_id}, or deny` : state;
    this.#session.out.write(`${this.#transcript.breakLine()}? ${what}: ${escapeLine(how)}\n`);
  }

  approvalsReset(): void {}

  notice(text: string): void {
    if (!this.#session.json) this.#session.out.write(this.#transcript.breakLine());
    this.#session.notice(escapeText(text));
  }

  async atRest(): Promise<void> {}

  drained(signal: AbortSignal): Promise<void> {
    return this.#session.out.drained(signal);
  }

  [Symbol.dispose](): void {
    this.#input.destroy();
  }
}

/** Nothing is read ahead but the chunk that a line came in. */
async function* linesOf(input: Readable, signal: AbortSignal): AsyncGenerator<string, undefined> {
  const ready: string[] = [];
  let tooLong: number | undefined;
  const splitter = new LineSplitter({
    lineBytesMax: inputBytesMax,
    onLine: (bytes) => void ready.push(bytes.toString("utf8")),
    onOverflow: () => (tooLong = inputBytesMax),
  });
  const stop = (): void => void input.destroy();
  signal.addEventListener("abort", stop, { once: true });
  const check = (): void => {
    if (tooLong !== undefined)
      throw new ClientFailure("usage", `a line of standard input has more than ${tooLong} bytes`);
  };
  try {
    for await (const chunk of input as AsyncIterable<Buffer>) {
      splitter.push(chunk);
      check();
      while (ready.length > 0) yield ready.shift() ?? "";
    }
    splitter.end();
    yield* ready;
    return undefined;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}
