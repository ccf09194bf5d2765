import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { inputLines } from "../render/approval.ts";
import { escapeLine } from "../render/escape.ts";
import type { Paint } from "../render/paint.ts";
import { duration } from "../render/quantity.ts";
import type { JsonObject } from "./answers.ts";
import { choicesOf } from "./choices.ts";

export interface RequestView {
  readonly paint: Paint;
  /** Whose request it is, where it may be anybody's. */
  readonly namesAgent: boolean;
  readonly nowSeconds: () => number;
}

/** All that a person has to see of a request before an answer counts; what it was edited to comes last. */
export function requestLines(approval: Approval, edited: JsonObject | undefined, view: RequestView): string[] {
  const { paint, namesAgent, nowSeconds } = view;
  const { tool_name, process_id, expires_at, title, reason, requires_user_interaction, approval_id } = approval;
  const left = duration(expires_at - nowSeconds());
  const about = paint("faint", escapeLine(`${namesAgent ? `${process_id}, ` : ""}waits ${left} more`));
  const lines = [`${paint("strong", escapeLine(tool_name))} ${about}`, ...inputLines(approval, paint)];
  if (title !== undefined && title !== tool_name)
    lines.push(paint("faint", `  the agent calls it: ${escapeLine(title)}`));
  if (reason !== undefined) lines.push(paint("faint", `  why it asks: ${escapeLine(reason)}`));
  if (requires_user_interaction && choicesOf(approval) === undefined)
    lines.push(`  a question: answer with \`hl-client approvals approve ${escapeLine(approval_id)} --input JSON\``);
  return edited === undefined ? lines : [...lines, ...editedLines(approval, edited, paint)];
}

/** What would run instead of what was asked. */
export function editedLines({ tool_name }: Approval, input: JsonObject, paint: Paint): string[] {
  return [paint("strong", "  edited:"), ...inputLines({ tool_name, input }, paint)];
}
