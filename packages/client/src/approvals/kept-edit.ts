import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import type { JsonObject } from "./answers.ts";

/** An edit whose request a lost connection took away; it holds for the same request with the same input, once, and is never lost silently. */
export class KeptEdit {
  readonly #tell: (text: string) => void;
  #kept: { readonly of: Approval; readonly input: JsonObject } | undefined;

  /** `tell` is given a line for the person whose edit it was. */
  constructor(tell: (text: string) => void) {
    this.#tell = tell;
  }

  keep(of: Approval, input: JsonObject): void {
    this.#kept = { of, input };
  }

  takeFor({ approval_id, input_hash }: Approval): JsonObject | undefined {
    const kept = this.#kept;
    if (kept?.of.approval_id !== approval_id) return undefined;
    this.#kept = undefined;
    if (kept.of.input_hash === input_hash) return kept.input;
    this.#tell("  the edit was not used: the agent asks for something else now");
    return undefined;
  }

  /** The request waits no longer. */
  requestIsOver(approvalId: string): void {
    if (this.#kept?.of.approval_id !== approvalId) return;
    this.#kept = undefined;
    this.#tell("  the edit was not used: the request is over");
  }
}
