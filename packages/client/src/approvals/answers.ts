import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { escapeLine } from "../render/escape.ts";
import { choicesOf } from "./choices.ts";

export type Decision = Pick<InputOf<typeof approvalDecide>, "decision" | "remember" | "updated_input" | "reason">;

/** What a key means for a request. */
export type Answer =
  | { readonly kind: "decide"; readonly decision: Decision }
  | { readonly kind: "edit" }
  /** Others may decide. */
  | { readonly kind: "leave" };

export type JsonObject = Readonly<Record<string, unknown>>;

/** Where the agent lets somebody choose, a choice is the only way to say yes. */
export function answerOf(approval: Approval, key: string, edited: JsonObject | undefined): Answer | undefined {
  const choices = choicesOf(approval);
  switch (key) {
    case "n":
      return { kind: "decide", decision: { decision: "deny" } };
    case "l":
      return { kind: "leave" };
    case "e":
      return choices === undefined && canEdit(approval) ? { kind: "edit" } : undefined;
    case "y":
      return choices === undefined ? allow({ updated_input: edited }) : undefined;
    case "s":
    case "a":
      if (choices !== undefined || !mayRemember(approval, edited)) return undefined;
      return allow({ remember: "session" });
    default: {
      const index = /^[1-9]$/.test(key) ? Number(key) - 1 : -1;
      return choices?.labels[index] === undefined ? undefined : allow({ updated_input: choices.inputWith(index) });
    }
  }
}

/** The keys in words. */
export function offerOf(approval: Approval, edited: JsonObject | undefined): string {
  const choices = choicesOf(approval)?.labels.map((label, index) => `${index + 1} ${escapeLine(label)}`);
  const remember = mayRemember(approval, edited) ? ["s allow for this session"] : [];
  const edit = canEdit(approval) ? ["e edit"] : [];
  return [...(choices ?? ["y allow", ...remember]), "n deny", ...(choices ? [] : edit), "l leave it to others"].join(
    ", ",
  );
}

/** An agent that cannot be told of another input would be denied by it. */
function canEdit({ can_edit }: Approval): boolean {
  return can_edit !== false;
}

/** What is remembered is the agent's own suggestion for its own input. */
function mayRemember({ can_remember }: Approval, edited: JsonObject | undefined): boolean {
  return can_remember && edited === undefined;
}

function allow(more: Omit<Decision, "decision">): Answer {
  return { kind: "decide", decision: { decision: "allow", ...more } };
}
