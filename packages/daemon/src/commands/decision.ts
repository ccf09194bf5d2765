import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import type { ExecuteParams } from "./plan.ts";

/** One answer to "may this caller run this?", for the audit. Arguments and variables may hold secrets and are not in it (X4). */
export interface CommandDecision {
  readonly caller: Caller;
  readonly commandId: string;
  readonly command: string;
  readonly argumentsCount: number;
  readonly decision: "allow" | "deny";
  /** The entry of the lists that decided, where one did. */
  readonly rule: string | undefined;
  /** Of a refusal, or of a start that failed although it was allowed. */
  readonly errorType: ErrorType | undefined;
  readonly reason: string | undefined;
  /** Nothing was asked for but the decision itself. */
  readonly isDryRun: boolean;
  /** Until it was decided, not until it ran. */
  readonly durationMs: number;
}

export interface DecisionPorts {
  readonly clock: Clock;
  readonly onDecision: (decision: CommandDecision) => void;
}

/** Called once it is allowed, with the entry that allows it; undefined for a command that ran before and is only answered. */
export type NoteAllowed = (rule: string | undefined) => void;

/** Decides by `decide` and tells how, whichever way it goes. */
export async function audited<T>(
  { clock, onDecision }: DecisionPorts,
  params: ExecuteParams,
  caller: Caller,
  decide: (note: NoteAllowed) => Promise<T>,
): Promise<T> {
  const startedAt = clock.now();
  let allowed: { readonly rule: string | undefined; readonly at: number } | undefined;
  const tell = (error: unknown): void =>
    onDecision({
      caller,
      commandId: params.command_id,
      command: programOf(params.command),
      argumentsCount: params.args.length,
      decision: allowed === undefined ? "deny" : "allow",
      rule: allowed === undefined ? ruleOf(error) : allowed.rule,
      errorType: error === undefined ? undefined : errorTypeOf(error),
      reason: error === undefined ? undefined : reasonOf(error, params.command),
      isDryRun: params.dry_run === true,
      durationMs: (allowed?.at ?? clock.now()) - startedAt,
    });
  try {
    const answer = await decide((rule) => (allowed = { rule, at: clock.now() }));
    tell(undefined);
    return answer;
  } catch (error) {
    tell(error);
    throw error;
  }
}

const programCharactersMax = 256;

/** What comes behind a blank are arguments that were put in the wrong place, and may hold secrets (X4). */
export function programOf(command: string): string {
  return (command.split(/\s/, 1)[0] ?? "").slice(0, programCharactersMax);
}

/** A message that quotes the command says no more than the kind of the error and the rule do. */
function reasonOf(error: unknown, command: string): string | undefined {
  return programOf(command) === command ? errorText(error) : undefined;
}

/** The entry of the block list that a refusal names. */
export function ruleOf(error: unknown): string | undefined {
  const rule = error instanceof HlError ? error.facts["rule"] : undefined;
  return typeof rule === "string" ? rule : undefined;
}

function errorTypeOf(error: unknown): ErrorType {
  return error instanceof HlError ? error.type : "internal_error";
}
