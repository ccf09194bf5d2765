/**
 * Permission requests that wait, at a terminal: one is shown at a time, with all that the tool would get, and one key answers it; the
 * others wait behind it.
 * States of the one that is shown: shown → asking (its keys are offered) → away (its input is edited, or a reason is typed) → shown, or
 * deciding → gone; a decision that does not count leads back to shown. It is gone too when somebody else was faster, or its time is over.
 * Invariant: no key counts but one that comes while the keys are offered, and they are offered only after a second in which the request was
 * there and nothing was typed. So a key that was meant for something else decides nothing.
 */
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { tell } from "../failure.ts";
import { escapeLine } from "../render/escape.ts";
import type { Screen } from "../render/screen.ts";
import { answerOf, offerOf, type Decision, type JsonObject } from "./answers.ts";
import type { Edited } from "./edit-input.ts";
import { KeptEdit } from "./kept-edit.ts";
import { editedLines, requestLines, type RequestView } from "./request-lines.ts";

/** So long a request stands there, and nobody types, before a key is an answer to it. */
const quietMs = 1_000;

export interface DeskOptions extends RequestView {
  readonly screen: Screen;
  readonly clock: Clock;
  /** Rejects with the table's errors; only what says that the request is over ends it. */
  readonly decide: (params: InputOf<typeof approvalDecide>) => Promise<Approval>;
  readonly edit: (input: JsonObject) => Promise<Edited>;
  /** Why it is denied, told to the model: "" for no reason, undefined for no denial after all. Without it nobody is asked. */
  readonly askReason?: ((gone: AbortSignal) => Promise<string | undefined>) | undefined;
  /** A request is about to be written. */
  readonly onShow?: (() => void) | undefined;
  /** The last one has gone. */
  readonly onEmpty?: (() => void) | undefined;
}

interface Shown {
  readonly approval: Approval;
  readonly gone: AbortController;
  edited: JsonObject | undefined;
  state: "shown" | "asking" | "away" | "deciding" | "over";
  offered: boolean;
  /** What the screen had been given when the last of it was written. */
  end: number;
}

export class ApprovalDesk {
  readonly #options: DeskOptions;
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Approval>();
  #shown: Shown | undefined;
  readonly #keptEdit: KeptEdit;
  #open: boolean;
  /** Ends the second of quiet that runs. */
  #stopQuiet: () => void = () => {};

  constructor(options: DeskOptions, open = true) {
    this.#options = options;
    this.#open = open;
    this.#keptEdit = new KeptEdit((text) => void options.screen.line(text));
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether keys are for a request that is shown. */
  get asks(): boolean {
    return this.#shown !== undefined;
  }

  /** Closed, the keyboard or the screen is somebody else's: requests are kept, not shown and not asked. Opened, all is shown anew. */
  set open(open: boolean) {
    if (open === this.#open) return;
    this.#open = open;
    const shown = this.#shown;
    const isAsked = shown?.state === "shown" || shown?.state === "asking";
    if (isAsked) shown.state = "shown";
    if (!open) this.#stopQuiet();
    else if (isAsked) this.#show(shown);
    else this.#showNext();
  }

  /** What was known may be over: what still waits is told again, and shown again. */
  reset(): void {
    const shown = this.#shown;
    if (shown?.edited !== undefined) this.#keptEdit.keep(shown.approval, shown.edited);
    this.#waiting.clear();
    this.#drop();
  }

  take(approval: Approval): void {
    const { approval_id: id, state, input_hash } = approval;
    const shown = this.#shown?.approval;
    if (state === "pending") {
      this.#waiting.set(id, approval);
      if (shown?.approval_id === id && shown.input_hash !== input_hash) this.#drop(); // It is another request.
    } else if (id === shown?.approval_id) this.#over(approval);
    else this.#forget(id);
    if (state !== "pending") this.#keptEdit.requestIsOver(id);
    this.#showNext();
  }

  onKey(key: string): void {
    const shown = this.#shown;
    if (shown?.state !== "shown" && shown?.state !== "asking") return;
    const answer = shown.state === "asking" ? answerOf(shown.approval, key, shown.edited) : undefined;
    if (answer === undefined) {
      this.#waitForQuiet(shown); // Somebody types ahead.
      return;
    }
    if (answer.kind === "leave") this.#next("left to others");
    else if (answer.kind === "edit") void this.#edit(shown);
    else if (answer.decision.decision === "deny") void this.#deny(shown);
    else void this.#decide(shown, answer.decision);
  }

  #showNext(): void {
    if (!this.#open || this.#shown !== undefined) return;
    const [next] = this.#waiting.values();
    if (next === undefined) return;
    const edited = this.#keptEdit.takeFor(next);
    const gone = new AbortController();
    this.#shown = { approval: next, gone, edited, state: "shown", offered: false, end: -1 };
    this.#show(this.#shown);
  }

  #show(shown: Shown): void {
    this.#write(shown);
    this.#waitForQuiet(shown);
  }

  #write(shown: Shown): void {
    const { screen, onShow } = this.#options;
    onShow?.();
    for (const line of requestLines(shown.approval, shown.edited, this.#options)) screen.line(line);
    shown.offered = false;
    shown.end = screen.written;
  }

  #waitForQuiet(shown: Shown): void {
    shown.state = "shown";
    this.#stopQuiet();
    if (!this.#open) return;
    const stopped = new AbortController();
    const cancel = this.#options.clock.after(quietMs, () => {
      // A process that was held up reads only now what was typed before.
      setImmediate(() => {
        if (!stopped.signal.aborted) this.#offer(shown);
      });
    });
    this.#stopQuiet = () => {
      cancel();
      stopped.abort();
    };
  }

  #offer(shown: Shown): void {
    const { screen, paint } = this.#options;
    // The agent may have said something below it, which must not pass for what is asked.
    if (shown.end !== screen.written) this.#write(shown);
    shown.state = "asking";
    if (shown.offered) return;
    const others = this.#waiting.size - 1;
    const more = others === 0 ? "" : paint("faint", ` (${others} more)`);
    screen.write(`  ${paint("warning", offerOf(shown.approval, shown.edited))}${more} `);
    shown.offered = true;
    shown.end = screen.written;
  }

  /** Below the request, which is asked again. */
  #askAgain(shown: Shown, lines: readonly string[]): void {
    const { screen } = this.#options;
    const isLast = shown.end === screen.written;
    for (const line of lines) screen.line(line);
    if (isLast) shown.end = screen.written;
    shown.offered = false;
    this.#waitForQuiet(shown);
  }

  /** The edited input is shown, and runs only when somebody then says so. */
  async #edit(shown: Shown): Promise<void> {
    shown.state = "away";
    const { paint } = this.#options;
    const edited = await this.#options.edit(shown.edited ?? shown.approval.input);
    if (edited.kind === "input") shown.edited = edited.input;
    if (this.#shown !== shown) this.#editedTooLate(shown, edited);
    else if (edited.kind === "input") this.#askAgain(shown, editedLines(shown.approval, edited.input, paint));
    else this.#askAgain(shown, [`  ${edited.kind === "same" ? "nothing was changed" : escapeLine(edited.message)}`]);
  }

  #editedTooLate({ approval, state }: Shown, edited: Edited): void {
    if (edited.kind !== "input") return;
    const { approval_id: id } = approval;
    this.#keptEdit.keep(approval, edited.input);
    const now = this.#shown;
    if (state === "over") this.#keptEdit.requestIsOver(id);
    else if (now?.approval.approval_id === id) {
      now.edited = this.#keptEdit.takeFor(now.approval) ?? now.edited;
      if (now.state === "shown" || now.state === "asking") this.#show(now);
    } else if (!this.#waiting.has(id))
      this.#options.screen.line("  the edit is kept for this request, should it still wait");
  }

  async #deny(shown: Shown): Promise<void> {
    const { askReason } = this.#options;
    if (askReason === undefined) {
      await this.#decide(shown, { decision: "deny" });
      return;
    }
    shown.state = "away";
    const reason = await askReason(shown.gone.signal);
    if (this.#shown !== shown) return;
    if (reason === undefined) this.#askAgain(shown, []);
    else await this.#decide(shown, { decision: "deny", reason: reason === "" ? undefined : reason });
  }

  async #decide(shown: Shown, decision: Decision): Promise<void> {
    shown.state = "deciding";
    const { approval_id, input_hash } = shown.approval;
    try {
      const decided = await this.#options.decide({ approval_id, input_hash, ...decision });
      if (this.#shown === shown) this.#over(decided);
    } catch (error) {
      if (this.#shown !== shown) return;
      const { message } = tell(error);
      if (isOver(error)) this.#next(message);
      else this.#askAgain(shown, [this.#outcome(message)]);
    }
  }

  /** Told by the answer to our decision and by the notification of it: once is enough. */
  #over({ state, decided_by }: Approval): void {
    const ours = this.#shown?.state === "deciding" || decided_by === undefined || state === "expired";
    this.#next(`${state}${ours ? "" : ` by ${decided_by.on_behalf_of ?? decided_by.subject}`}`);
  }

  #next(text: string): void {
    const gone = this.#shown?.approval.approval_id;
    if (this.#shown !== undefined) this.#shown.state = "over";
    this.#drop();
    this.#options.screen.line(this.#outcome(text));
    if (gone !== undefined) this.#forget(gone);
    this.#showNext();
  }

  #outcome(text: string): string {
    return this.#options.paint("strong", `→ ${escapeLine(text)}`);
  }

  #drop(): void {
    this.#stopQuiet();
    this.#shown?.gone.abort();
    this.#shown = undefined;
  }

  #forget(id: string): void {
    if (this.#waiting.delete(id) && this.#waiting.size === 0) this.#options.onEmpty?.();
  }
}

/** Of a decision that failed otherwise the request waits on, or, where nothing is known, the next one tells. */
function isOver(error: unknown): boolean {
  const over: readonly string[] = ["approval_decided", "approval_closed", "approval_unknown", "approval_input_changed"];
  return error instanceof HlError && over.includes(error.type);
}
