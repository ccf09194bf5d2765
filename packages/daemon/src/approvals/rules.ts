/**
 * Which rule of `claude_integration.approvals.rules` a tool call falls under. The first that fits holds.
 *
 * "Fits" is narrow for `allow` and wide for `deny` and `ask`: in doubt a person is asked. Rules over shell lines are hygiene, not a
 * boundary: whoever may write a program can do what it likes. The sandbox is the boundary (X1).
 */
import { canonicalJson } from "@hl/core/canonical-json.ts";
import type { ToolCall } from "./tool-call.ts";
import { isCertainlyInside, mayTouch, type FileView } from "./touched-paths.ts";
import { fitsWildcard } from "./wildcard.ts";

export interface Rule {
  /** `*` stands for any characters. */
  readonly tool: string;
  readonly pattern?: string | undefined;
  readonly path?: string | undefined;
  readonly decision: "allow" | "deny" | "ask";
}

export interface RuleMatch {
  readonly rule: Rule;
  /** For people: `rule 1` is the first. */
  readonly name: string;
}

export function matchRule(rules: readonly Rule[], call: ToolCall, view: FileView): RuleMatch | undefined {
  const texts = new Texts(call.input);
  const index = rules.findIndex((rule) => fits(rule, call, texts, view));
  const rule = rules[index];
  return rule === undefined ? undefined : { rule, name: `rule ${index + 1}` };
}

function fits(rule: Rule, call: ToolCall, texts: Texts, view: FileView): boolean {
  const isAllow = rule.decision === "allow";
  if (!fitsWildcard(call.toolName, rule.tool)) return false;
  if (rule.pattern !== undefined && !(isAllow ? texts.allows(rule.pattern) : texts.mayFit(rule.pattern))) return false;
  if (rule.path === undefined) return true;
  return isAllow ? isCertainlyInside(rule.path, call, view) : mayTouch(rule.path, call, view);
}

const startsAnotherCommand = /[;&|`$()<>{}\n\r]/;
const separators = /[;&|`(){}\n\r]+|\$\(/;

/** What patterns are compared with; made once for all rules. */
class Texts {
  readonly #input: ToolCall["input"];
  #json: string | undefined;
  #parts: readonly string[] | undefined;

  constructor(input: ToolCall["input"]) {
    this.#input = input;
  }

  /** The whole command or input, and of a command `*` stands for nothing that could begin another one. */
  allows(pattern: string): boolean {
    const { command } = this.#input;
    if (typeof command === "string") return fitsWildcard(command, pattern, startsAnotherCommand);
    return fitsWildcard(this.#asJson, pattern);
  }

  /** The command, each simple command in it, and the whole input: however the spaces stand. */
  mayFit(pattern: string): boolean {
    this.#parts ??= this.#asParts();
    const wanted = oneSpace(pattern);
    return this.#parts.some((text) => fitsWildcard(text, wanted));
  }

  #asParts(): string[] {
    const { command } = this.#input;
    const commands = typeof command === "string" ? [command, ...command.split(separators).map(oneSpace)] : [];
    return [...commands.flatMap((text) => [text, oneSpace(text)]), this.#asJson, oneSpace(this.#asJson)];
  }

  get #asJson(): string {
    return (this.#json ??= canonicalJson(this.#input));
  }
}

const oneSpace = (text: string): string => text.trim().replaceAll(/\s+/g, " ");
