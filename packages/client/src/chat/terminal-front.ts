/**
 * A conversation at a terminal. The keyboard belongs to the line editor while a message is typed, to single keys while a turn runs: an
 * answer to a permission request, Ctrl-C, Ctrl-D, or `/` for a command, during which what the agent says waits.
 */
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { ApprovalDesk } from "../approvals/approval-desk.ts";
import { editInput } from "../approvals/edit-input.ts";
import { Keys } from "../approvals/keys.ts";
import { exitCode } from "../exit-codes.ts";
import { tell } from "../failure.ts";
import { gistOf } from "../render/approval.ts";
import { escapeLine, escapeText } from "../render/escape.ts";
import { Screen } from "../render/screen.ts";
import type { Session } from "../session.ts";
import { agentItemOf } from "./agent-item.ts";
import type { Chat } from "./chat.ts";
import { chatHelp, statusLines } from "./chat-help.ts";
import type { ChatFront, ShowOptions, ToldItem, TurnAnswer } from "./front.ts";
import { LineEditor } from "./line-editor.ts";
import { Transcript } from "./transcript.ts";
import { turnOutcomeOf } from "./turn-outcome.ts";

/** A second Ctrl-C within this time leaves. */
const leaveMs = 2_000;

export class TerminalFront implements ChatFront {
  readonly #session: Session;
  readonly #chat: Chat;
  readonly #screen: Screen;
  readonly #transcript: Transcript;
  readonly #keys: Keys;
  readonly #editor: LineEditor;
  readonly #desk: ApprovalDesk;
  #mode: "line" | "keys" | "away" = "line";
  #interruptedAt = -Infinity;
  #answered: (() => void) | undefined;
  /** Keys are looked at. */
  #inTurn = false;
  /** Resolves when the keyboard is ours again. */
  #aside: PromiseWithResolvers<undefined> | undefined;
  readonly #over = new AbortController();
  readonly #gone: AbortSignal;

  constructor(session: Session, chat: Chat, options: ShowOptions) {
    this.#session = session;
    this.#chat = chat;
    this.#gone = AbortSignal.any([session.signal, this.#over.signal]);
    const { paint, out, ports } = session;
    const screen = new Screen(out);
    this.#screen = screen;
    this.#transcript = new Transcript({ paint, ...options, columns: () => out.columns });
    const keyboard = ports.stdin();
    this.#keys = new Keys(
      keyboard,
      (key) => this.#onKey(key),
      () => this.#desk.onKey(""),
    );
    this.#editor = new LineEditor(keyboard, ports.stdout);
    const owner = { suspend: () => this.#away(), resume: () => this.#back() };
    this.#desk = new ApprovalDesk(
      {
        ...{ screen, paint, clock: session.clock, namesAgent: false, nowSeconds: () => session.nowSeconds },
        decide: (params) => chat.decide(params),
        edit: (input) => editInput(input, ports, owner),
        askReason: (gone) => this.#askReason(gone),
        onShow: () => void screen.write(this.#transcript.breakLine()),
        onEmpty: () => this.#answered?.(),
      },
      false,
    );
    this.#keys.suspend();
  }

  async next(): Promise<string | undefined> {
    while (!this.#gone.aborted) {
      await this.#keyboardIsOurs();
      this.#mode = "line";
      this.#screen.breakLine();
      const typed = await this.#editor.ask({ prompt: "> ", message: true, signal: this.#gone });
      this.#screen.lineEnded();
      if (typed.kind === "end") this.#chat.leave(exitCode.ok); // Also while there is no connection that could take an answer.
      if (typed.kind === "end" || typed.kind === "gone") return undefined;
      if (typed.kind === "interrupt") this.#interruptIdle();
      else if (typed.text.trim() !== "" && !(await this.#command(typed.text.trim()))) return typed.text;
    }
    return undefined;
  }

  turnBegins(): void {
    this.#interruptedAt = -Infinity;
    this.#inTurn = true;
    this.#mode = "keys";
    this.#keys.resume();
    this.#desk.open = true;
  }

  item({ type, data, omitted_bytes }: ToldItem): boolean {
    return this.#screen.write(this.#transcript.item(agentItemOf(type, data, omitted_bytes)));
  }

  turnEnded({ response, execution_time }: TurnAnswer): void {
    this.#screen.write(this.#transcript.end(turnOutcomeOf(response), execution_time));
    this.#idle();
  }

  turnFailed(error: unknown): void {
    const { message, help } = tell(error);
    const text = `${message}${help === undefined ? "" : `\n  ${help}`}`;
    this.#say(this.#session.paint("bad", escapeText(text)));
    this.#idle();
  }

  approval(approval: Approval): void {
    this.#desk.take(approval);
    if (approval.state !== "pending" || this.#mode !== "line") return;
    const what = escapeLine(`${approval.tool_name} ${gistOf(approval)}`);
    this.#say(this.#session.paint("warning", `the agent asks for ${what}: Enter answers it`));
  }

  approvalsReset(): void {
    this.#desk.reset();
    if (this.#answered !== undefined) this.#answered();
  }

  notice(text: string): void {
    this.#say(this.#session.paint("faint", escapeText(text)));
  }

  drained(signal: AbortSignal): Promise<void> {
    return this.#screen.drained(signal);
  }

  /** What is typed ends at once; an editor ends by itself. */
  async atRest(): Promise<void> {
    this.#inTurn = false;
    this.#over.abort();
    await this.#aside?.promise;
  }

  [Symbol.dispose](): void {
    this.#over.abort();
    this.#desk.open = false;
    this.#screen.release();
    this.#screen.write(this.#transcript.breakLine());
    this.#screen.breakLine();
    this.#keys[Symbol.dispose]();
  }

  /** The turn may have ended while a command was typed, or an editor was open; requests may have come that nobody has answered. */
  async #keyboardIsOurs(): Promise<void> {
    for (;;) {
      await this.#aside?.promise;
      if (this.#desk.size === 0 || this.#gone.aborted) return;
      await this.#answerAll();
    }
  }

  /** Requests that came while nobody looked, one key each. */
  async #answerAll(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#answered = () => resolve(undefined);
    this.turnBegins();
    await promise;
    this.#answered = undefined;
    this.#idle();
  }

  #idle(): void {
    this.#inTurn = false;
    this.#desk.open = false;
    this.#keys.suspend();
    if (this.#mode === "keys") this.#mode = "line";
  }

  #onKey(key: string): void {
    const now = this.#session.clock.now();
    if (key === "\u0003") this.#interruptTurn(now);
    else if (key === "\u0004") this.#chat.leave(exitCode.ok);
    else if (this.#desk.asks) this.#desk.onKey(key);
    else if (key === "/") void this.#askCommand();
  }

  #interruptTurn(now: number): void {
    if (now - this.#interruptedAt <= leaveMs) {
      this.#chat.leave(exitCode.interrupted);
      return;
    }
    this.#interruptedAt = now;
    this.notice(`interrupting … (once more within ${leaveMs / 1000} s leaves)`);
    this.#chat.interrupt();
  }

  #interruptIdle(): void {
    const now = this.#session.clock.now();
    if (now - this.#interruptedAt <= leaveMs) this.#chat.leave(exitCode.interrupted);
    else this.notice("Ctrl-D or /quit leaves, or Ctrl-C once more");
    this.#interruptedAt = now;
  }

  /** While a turn runs. */
  async #askCommand(): Promise<void> {
    this.#screen.write(this.#transcript.breakLine());
    this.#away();
    const typed = await this.#editor.ask({ prompt: "", begun: "/", signal: this.#gone });
    const command = typed.kind === "line" ? typed.text.trim() : "/";
    this.#back();
    if (command === "/" || (await this.#command(command))) return;
    this.notice(`a turn runs: ${command} is none of /help, /interrupt, /status, /quit`);
  }

  /** Answers whether it was one of ours: an agent may have commands of its own. */
  async #command(text: string): Promise<boolean> {
    switch (text) {
      case "/help":
        for (const line of chatHelp) this.#say(line);
        return true;
      case "/quit":
        this.#chat.leave(exitCode.ok);
        return true;
      case "/interrupt":
        if (this.#chat.turnInFlight) this.#chat.interrupt();
        else this.notice("no turn runs");
        return true;
      case "/status":
        await this.#status();
        return true;
      default:
        return false;
    }
  }

  async #status(): Promise<void> {
    try {
      const agent = await this.#chat.status();
      for (const line of statusLines(agent, this.#session.paint)) this.#say(line);
    } catch (error) {
      this.notice(tell(error).message);
    }
  }

  async #askReason(gone: AbortSignal): Promise<string | undefined> {
    this.#away();
    const signal = AbortSignal.any([gone, this.#gone]);
    const typed = await this.#editor.ask({ prompt: "  why? (told to the model; Enter for no reason) ", signal });
    this.#back();
    return typed.kind === "line" ? typed.text.trim() : undefined;
  }

  /** The keyboard and the screen are somebody else's for a while. */
  #away(): void {
    this.#screen.breakLine();
    this.#screen.hold();
    this.#keys.suspend();
    this.#mode = "away";
    this.#desk.open = false;
    this.#aside = Promise.withResolvers<undefined>();
  }

  #back(): void {
    this.#screen.lineEnded();
    this.#mode = this.#inTurn ? "keys" : "line";
    if (this.#inTurn) this.#keys.resume();
    this.#screen.release();
    this.#desk.open = this.#inTurn;
    this.#aside?.resolve(undefined);
    this.#aside = undefined;
  }

  #say(text: string): void {
    if (this.#mode === "line" && this.#editor.above(text)) return;
    this.#screen.write(this.#transcript.breakLine());
    this.#screen.line(text);
  }
}
