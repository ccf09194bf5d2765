import type { Logger } from "@hl/core/logger.ts";
import type { CommandDecision } from "../commands/decision.ts";
import type { EgressDecision } from "../egress/egress-proxy.ts";
import type { Events } from "../events/events.ts";

/** Who was allowed or refused what: a line in the log and an event each. Nobody waits for either. */
export interface Audit {
  readonly command: (decision: CommandDecision) => void;
  readonly egressRefused: (decision: EgressDecision) => void;
  /** So many refusals that were like the ones told. */
  readonly egressRefusedMore: (count: number) => void;
  readonly egressPassed: (decision: EgressDecision) => void;
}

export function auditor(events: Events, logger: Logger): Audit {
  const log = logger.child({ part: "audit" });
  const record = (fields: Record<string, unknown>, isRefusal: boolean, sentence: string): void => {
    log.info(fields, sentence);
    events.emit("audit", fields, isRefusal ? "warning" : "info");
  };
  return {
    command: (decision) => {
      const refused = decision.decision === "deny";
      const fields = commandFields(decision);
      // What would be decided is no decision, and asking costs nothing: it must not fill the spool.
      if (decision.isDryRun) log.info(fields, "a command was judged without being run");
      else record(fields, refused, refused ? "a command was refused" : "a command was allowed");
    },
    egressRefused: (decision) => record(egressFields(decision), true, "a connection of a process was refused"),
    egressRefusedMore: (count) =>
      record({ kind: "egress", decision: "deny", repeated: count }, true, "more connections of processes were refused"),
    egressPassed: (decision) => log.debug(egressFields(decision), "a connection of a process went through the proxy"),
  };
}

function commandFields(decision: CommandDecision): Record<string, unknown> {
  const { caller, commandId, command, argumentsCount, rule, errorType, reason, isDryRun, durationMs } = decision;
  return {
    kind: "command",
    decision: decision.decision,
    command_id: commandId,
    command,
    argument_count: argumentsCount,
    caller: caller.subject,
    role: caller.role,
    via: caller.via,
    rule,
    error_type: errorType,
    reason,
    ...(isDryRun ? { dry_run: true } : {}),
    decided_ms: rounded(durationMs),
  };
}

function egressFields({ durationMs, ...decision }: EgressDecision): Record<string, unknown> {
  return { kind: "egress", ...decision, decided_ms: rounded(durationMs) };
}

/** Microseconds are enough. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
