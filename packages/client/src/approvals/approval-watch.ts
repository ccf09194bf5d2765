/**
 * `approvals watch`: every permission request as it comes and as it ends. In a terminal one is shown at a time, with all that the tool
 * would get, and one key answers it; the others wait behind it.
 * States of the one that is shown: asking → deciding (a key was pressed) → gone; it is gone too when somebody else was faster.
 */
import { HlError } from "@hl/protocol/errors.ts";
import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import { approval as approvalSchema, type Approval } from "@hl/protocol/methods/approval-list.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { Interrupted } from "../interrupts.ts";
import { tell } from "../failure.ts";
import { gistOf, inputLines } from "../render/approval.ts";
import { escapeLine } from "../render/escape.ts";
import { duration } from "../render/quantity.ts";
import type { Session } from "../session.ts";
import { choicesOf } from "./choices.ts";
import { Keys } from "./keys.ts";

type Decision = Pick<InputOf<typeof approvalDecide>, "decision" | "remember" | "updated_input">;

const answers: Readonly<Record<string, Decision>> = {
  y: { decision: "allow" },
  a: { decision: "allow", remember: "session" },
  n: { decision: "deny" },
};

/** Where the agent lets somebody choose, a choice is the only way to say yes. */
function decisionOf(approval: Approval, key: string): Decision | undefined {
  const choices = choicesOf(approval);
  if (choices === undefined || key === "n") return key === "a" && !approval.can_remember ? undefined : answers[key];
  const index = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
  if (choices.labels[index] === undefined) return undefined;
  return { decision: "allow", updated_input: choices.inputWith(index) };
}

export class ApprovalWatch {
  readonly #session: Session;
  readonly #processId: string | undefined;
  /** In the order in which they came. */
  readonly #waiting = new Map<string, Approval>();
  #shown: string | undefined;
  #isDeciding = false;
  #asks = false;
  #connection: Connection | undefined;

  constructor(session: Session, processId: string | undefined) {
    this.#session = session;
    this.#processId = processId;
  }

  async run(): Promise<never> {
    const { json, out, ports, interrupts } = this.#session;
    const keyboard = json || !out.isTerminal ? undefined : ports.stdin();
    this.#asks = keyboard?.isTTY === true;
    using _keys = this.#asks && keyboard !== undefined ? new Keys(keyboard, (key) => this.#onKey(key)) : undefined;
    if (this.#asks) this.#session.notice("waiting for permission requests of agents; Ctrl-C leaves");
    interrupts.signal.addEventListener("abort", () => out.write(this.#asks ? "\n" : ""), { once: true });
    return await persist(this.#session.persistence, async (connection, progress) => {
      this.#connection = connection;
      // Whatever still waits is told again, and shown again: what has become of the rest is not known.
      this.#waiting.clear();
      this.#shown = undefined;
      const onNotification = (method: string, params: unknown): void => {
        progress();
        if (method === "approval/changed") this.#take(connection, params);
      };
      await connection.call("approval/subscribe", { process_id: this.#processId }, { onNotification });
      progress();
      return untilClosed(connection);
    });
  }

  #take(connection: Connection, params: unknown): void {
    const parsed = approvalSchema.safeParse(params);
    if (!parsed.success) {
      this.#session.notice("a permission request was skipped that this hl-client cannot read");
      return;
    }
    const approval = parsed.data;
    const { approval_id: id, state } = approval;
    if (state === "pending") this.#waiting.set(id, approval);
    else this.#waiting.delete(id);
    if (!this.#asks) this.#print(connection, approval);
    else if (id === this.#shown && state !== "pending") this.#over(approval);
    else this.#showNext();
  }

  #print(connection: Connection, approval: Approval): void {
    const { json, out, signal, paint } = this.#session;
    const { approval_id, state, tool_name } = approval;
    const text = `${paint("strong", state.padEnd(9))} ${approval_id} ${escapeLine(`${tool_name} ${gistOf(approval)}`)}`;
    if (json ? this.#session.printJson(approval) : out.line(text)) return;
    connection.peer.pause();
    void out.drained(signal).then(() => connection.peer.resume());
  }

  #showNext(): void {
    if (this.#shown !== undefined) return;
    const [next] = this.#waiting.values();
    if (next === undefined) return;
    this.#shown = next.approval_id;
    this.#isDeciding = false;
    const { out, paint, nowSeconds } = this.#session;
    const { tool_name, process_id, expires_at, reason, can_remember, requires_user_interaction } = next;
    const left = duration(expires_at - nowSeconds);
    out.line(`${paint("strong", escapeLine(tool_name))} ${paint("faint", `${process_id}, waits ${left} more`)}`);
    for (const line of inputLines(next)) out.line(line);
    if (reason !== undefined) out.line(paint("faint", `  why it asks: ${escapeLine(reason)}`));
    const choices = choicesOf(next);
    if (requires_user_interaction && choices === undefined) {
      out.line(`  a question: answer with \`hl-client approvals approve ${next.approval_id} --input JSON\``);
    }
    const answer = choices?.labels.map((label, index) => `${index + 1} ${escapeLine(label)}`).join(", ");
    const allow = answer ?? `y allow${can_remember ? ", a allow for this session" : ""}`;
    const others = this.#waiting.size - 1;
    const more = others === 0 ? "" : paint("faint", ` (${others} more)`);
    out.write(`  ${paint("warning", `${allow}, n deny, s leave it to others`)}${more} `);
  }

  #onKey(key: string): void {
    if (key === "\u0003") {
      this.#session.interrupts.raise(Interrupted.bySignal("SIGINT"));
      return;
    }
    const approval = this.#waiting.get(this.#shown ?? "");
    if (approval === undefined || this.#isDeciding) return;
    const decision = decisionOf(approval, key);
    if (key === "s") {
      this.#waiting.delete(approval.approval_id);
      this.#next("left to others");
    } else if (decision !== undefined) {
      this.#isDeciding = true;
      void this.#decide(approval, decision);
    }
  }

  async #decide({ approval_id, input_hash }: Approval, decision: Decision): Promise<void> {
    try {
      const decided = await this.#connection?.call("approval/decide", { approval_id, input_hash, ...decision });
      if (decided !== undefined) this.#over(decided);
    } catch (error) {
      if (this.#session.signal.aborted || this.#shown !== approval_id) return;
      const { message } = tell(error);
      if (error instanceof HlError) this.#waiting.delete(approval_id);
      this.#next(message);
    }
  }

  /** Told by the answer to our decision and by the notification of it: once is enough. */
  #over({ approval_id, state, decided_by }: Approval): void {
    this.#waiting.delete(approval_id);
    if (this.#shown !== approval_id) return;
    const who =
      this.#isDeciding || decided_by === undefined ? "" : ` by ${decided_by.on_behalf_of ?? decided_by.subject}`;
    this.#next(`${state}${who}`);
  }

  #next(text: string): void {
    this.#session.out.line(this.#session.paint("strong", `→ ${escapeLine(text)}`));
    this.#shown = undefined;
    this.#isDeciding = false;
    this.#showNext();
  }
}
