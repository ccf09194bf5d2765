/**
 * Permission requests that wait, at a terminal: one is shown at a time, with all that the tool would get, and one key answers it; the
 * others wait behind it.
 * States of the one that is shown: asking → away (its input is edited, or a reason is typed) → asking or deciding → gone; it is gone too
 * when somebody else was faster, or its time is over.
 */
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { tell } from "../failure.ts";
import { inputLines } from "../render/approval.ts";
import { escapeLine } from "../render/escape.ts";
import type { Paint } from "../render/paint.ts";
import { duration } from "../render/quantity.ts";
import type { Screen } from "../render/screen.ts";
import { answerOf, offerOf, type Decision, type JsonObject } from "./answers.ts";
import { choicesOf } from "./choices.ts";
import type { Edited } from "./edit-input.ts";

export interface DeskOptions {
  readonly screen: Screen;
  readonly paint: Paint;
  /** Whose request it is, where it may be anybody's. */
  readonly namesAgent: boolean;
  readonly nowSeconds: () => number;
  /** Rejects with the table's errors; with others the request still waits. */
  readonly decide: (params: InputOf<typeof approvalDecide>) => Promise<Approval>;
  readonly edit: (input: JsonObject) => Promise<Edited>;
  /** Why it is denied, told to the model: "" for no reason, undefined for no denial after all. Without it nobody is asked. */
  readonly askReason?: ((gone: AbortSignal) => Promise<string | undefined>) | undefined;
  /** The last one has gone. */
  readonly onEmpty?: (() => void) | undefined;
}

interface Shown {
  readonly approval: Approval;
  readonly gone: AbortController;
  edited: JsonObject | undefined;
  state: "asking" | "away" | "deciding";
}

export class ApprovalDesk {
  readonly #options: DeskOptions;
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Approval>();
  #shown: Shown | undefined;
  #open: boolean;

  constructor(options: DeskOptions, open = true) {
    this.#options = options;
    this.#open = open;
  }

  get size(): number {
    return this.#waiting.size;
  }

  /** Whether a key would be an answer. */
  get asks(): boolean {
    return this.#shown !== undefined;
  }

  /** Closed, requests are kept and not shown. */
  set open(open: boolean) {
    this.#open = open;
    if (open) this.#showNext();
  }

  /** What was known may be over: what still waits is told again, and shown again. */
  reset(): void {
    this.#waiting.clear();
    this.#shown?.gone.abort();
    this.#shown = undefined;
  }

  take(approval: Approval): void {
    const { approval_id: id, state } = approval;
    if (state === "pending") this.#waiting.set(id, approval);
    else if (id === this.#shown?.approval.approval_id) this.#over(approval);
    else this.#waiting.delete(id);
    this.#showNext();
  }

  onKey(key: string): void {
    const shown = this.#shown;
    if (shown?.state !== "asking") return;
    const answer = answerOf(shown.approval, key, shown.edited);
    if (answer === undefined) return;
    if (answer.kind === "leave") this.#next("left to others");
    else if (answer.kind === "edit") void this.#edit(shown);
    else if (answer.decision.decision === "deny") void this.#deny(shown);
    else void this.#decide(shown, answer.decision);
  }

  #showNext(): void {
    if (!this.#open || this.#shown !== undefined) return;
    const [next] = this.#waiting.values();
    if (next === undefined) return;
    this.#shown = { approval: next, gone: new AbortController(), edited: undefined, state: "asking" };
    const { screen, paint, namesAgent, nowSeconds } = this.#options;
    const { tool_name, process_id, expires_at, title, reason, requires_user_interaction } = next;
    const left = duration(expires_at - nowSeconds());
    const about = paint("faint", escapeLine(`${namesAgent ? `${process_id}, ` : ""}waits ${left} more`));
    screen.line(`${paint("strong", escapeLine(tool_name))} ${about}`);
    for (const line of inputLines(next, paint)) screen.line(line);
    if (title !== undefined && title !== tool_name)
      screen.line(paint("faint", `  the agent calls it: ${escapeLine(title)}`));
    if (reason !== undefined) screen.line(paint("faint", `  why it asks: ${escapeLine(reason)}`));
    if (requires_user_interaction && choicesOf(next) === undefined) {
      screen.line(
        `  a question: answer with \`hl-client approvals approve ${escapeLine(next.approval_id)} --input JSON\``,
      );
    }
    this.#offer(this.#shown);
  }

  #offer({ approval, edited }: Shown): void {
    const { screen, paint } = this.#options;
    const others = this.#waiting.size - 1;
    const more = others === 0 ? "" : paint("faint", ` (${others} more)`);
    screen.write(`  ${paint("warning", offerOf(approval, edited))}${more} `);
  }

  /** The edited input is shown, and runs only when somebody then says so. */
  async #edit(shown: Shown): Promise<void> {
    shown.state = "away";
    const { screen, paint } = this.#options;
    const edited = await this.#options.edit(shown.edited ?? shown.approval.input);
    if (this.#shown !== shown) return;
    shown.state = "asking";
    if (edited.kind === "input") {
      shown.edited = edited.input;
      screen.line(paint("strong", "  edited:"));
      for (const line of inputLines({ input: edited.input }, paint)) screen.line(line);
    } else {
      screen.line(`  ${edited.kind === "same" ? "nothing was changed" : escapeLine(edited.message)}`);
    }
    this.#offer(shown);
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
    shown.state = "asking";
    if (reason === undefined) this.#offer(shown);
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
      // Of a lost connection nothing is known: what still waits is told again.
      if (error instanceof HlError) this.#waiting.delete(approval_id);
      this.#next(message);
    }
  }

  /** Told by the answer to our decision and by the notification of it: once is enough. */
  #over({ state, decided_by }: Approval): void {
    const ours = this.#shown?.state === "deciding" || decided_by === undefined || state === "expired";
    this.#next(`${state}${ours ? "" : ` by ${decided_by.on_behalf_of ?? decided_by.subject}`}`);
  }

  #next(text: string): void {
    if (this.#shown !== undefined) this.#waiting.delete(this.#shown.approval.approval_id);
    this.#shown?.gone.abort();
    this.#shown = undefined;
    this.#options.screen.line(this.#options.paint("strong", `→ ${escapeLine(text)}`));
    if (this.#waiting.size === 0) this.#options.onEmpty?.();
    this.#showNext();
  }
}
