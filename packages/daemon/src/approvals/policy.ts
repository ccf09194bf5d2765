/**
 * What an agent's tools may do: the rules first, then people. The agent asks for what it finds dangerous; every other call is judged by
 * the rules all the same, before it runs, and they can stop it or make the agent ask.
 */
import type { Approvals } from "./approvals.ts";
import { matchRule, type Rule, type RuleMatch } from "./rules.ts";
import type { AskedCall, Outcome, ToolCall } from "./tool-call.ts";
import { ownView, type FileView } from "./touched-paths.ts";

/** What a rule has decided, for the audit. */
export interface RuleDecision {
  readonly decision: "allow" | "deny";
  readonly rule: string;
  readonly processId: string;
  readonly toolName: string;
  readonly toolUseId: string | undefined;
}

export interface Verdict {
  readonly decision: "deny" | "ask";
  /** Told to the model, or shown to whoever is asked. */
  readonly message: string;
}

export interface PolicyOptions {
  readonly rules: readonly Rule[];
  readonly approvals: Approvals;
  readonly onDecision: (decision: RuleDecision) => void;
  readonly view?: FileView | undefined;
}

/** Questions to a person: nothing but a person answers them. */
const questionTools: ReadonlySet<string> = new Set(["AskUserQuestion", "ExitPlanMode"]);

type Named = ToolCall & { readonly processId: string; readonly toolUseId?: string | undefined };

export class ApprovalPolicy {
  readonly #options: PolicyOptions;

  constructor(options: PolicyOptions) {
    this.#options = options;
  }

  /** A call that the agent asks for. */
  async ask(asked: AskedCall): Promise<Outcome> {
    const { approvals } = this.#options;
    const isQuestion = asked.requiresUserInteraction || questionTools.has(asked.toolName);
    const call = { ...asked, requiresUserInteraction: isQuestion };
    // What is with a person already stays there, whatever the rules have become.
    const match = approvals.knows(asked) ? undefined : this.#match(asked);
    const decision = match?.rule.decision;
    if (match !== undefined && decision === "deny") return { behavior: "deny", message: this.#deny(match, asked) };
    if (match === undefined || decision !== "allow" || isQuestion) return approvals.ask(call);
    this.#tell("allow", match, asked);
    return { behavior: "allow" };
  }

  /** Any call, before it runs; undefined lets the agent go on as it would by itself. Throws where it cannot be judged. */
  judge(call: Named): Verdict | undefined {
    const match = this.#match(call);
    switch (match?.rule.decision) {
      case "deny":
        return { decision: "deny", message: this.#deny(match, call) };
      case "ask":
        return { decision: "ask", message: `${match.name} of claude_integration.approvals.rules asks a person.` };
      default:
        return undefined;
    }
  }

  #match(call: ToolCall): RuleMatch | undefined {
    const { rules, view = ownView } = this.#options;
    return matchRule(rules, call, view);
  }

  #deny(match: RuleMatch, call: Named): string {
    this.#tell("deny", match, call);
    return `Denied by the policy of this machine (${match.name} of claude_integration.approvals.rules).`;
  }

  #tell(decision: "allow" | "deny", { name: rule }: RuleMatch, { processId, toolName, toolUseId }: Named): void {
    this.#options.onDecision({ decision, rule, processId, toolName, toolUseId });
  }
}
