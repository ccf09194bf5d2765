import { BoundedReports } from "@hl/core/bounded-reports.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { ConfigChange } from "@hl/protocol/config-change.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Approval, Decider } from "@hl/protocol/methods/approval-list.ts";
import type { CommandDecision } from "../commands/decision.ts";
import type { EgressDecision } from "../egress/egress-proxy.ts";
import type { Events } from "../events/events.ts";
import type { AuditLog } from "../logging/audit-log.ts";
import { detailsOf, PrivilegedCalls, whoOf } from "./audit-calls.ts";
import { configFields, refusedConfigFields, type Changer } from "./config-audit.ts";

/**
 * Who was allowed or refused what (X3): a record in the audit log each; decisions and refusals are a line in the log and an event too. Nobody waits for
 * any, and none carries a secret (X4).
 */
export interface Audit extends Disposable {
  readonly command: (decision: CommandDecision) => void;
  readonly egress: (decision: EgressDecision) => void;
  /** One that somebody, or time, has decided. */
  readonly approval: (approval: Approval) => void;
  /** A decision about a permission request that does not count. */
  readonly decisionRefused: (params: RefusedDecision, decider: Decider, error: HlError) => void;
  /** A tool call of an agent that was decided without asking anybody. */
  readonly toolCall: (decision: ToolCallDecision) => void;
  /** The configuration was changed. */
  readonly config: (by: Changer, changes: readonly ConfigChange[]) => void;
  /** It was to be changed, and stays as it is. */
  readonly configRefused: (by: Changer, section: string, error: Pick<HlError, "type" | "message">) => void;
  /** Of every request: those that no handler has seen are refusals, and privileged ones are a record each. */
  readonly call: (record: CallRecord) => void;
}

export interface ToolCallDecision {
  readonly decision: "allow" | "deny";
  readonly processId: string;
  readonly toolName: string;
  readonly toolUseId: string | undefined;
  /** The rule of `claude_integration.approvals.rules`, where one decided. */
  readonly rule?: string | undefined;
  readonly reason?: string | undefined;
}

export interface RefusedDecision {
  readonly approval_id: string;
  readonly decision: string;
}

export interface AuditPorts {
  readonly events: Events;
  readonly logger: Logger;
  readonly clock: Clock;
  /** Undefined where it is switched off. */
  readonly auditLog?: AuditLog | undefined;
}

type Fields = Readonly<Record<string, unknown>>;

interface Refusal {
  readonly key: string;
  readonly fields: Fields;
  readonly sentence: string;
  readonly more?: Fields | undefined;
}

const windowMs = 60_000;
/** Different refusals that are told in one window, of those that cost whoever is refused nothing. */
const toldMax = 50;
/** Of those who have proved nothing. */
const strangersToldMax = 20;

export function auditor({ events, logger, clock, auditLog }: AuditPorts): Audit {
  const log = logger.child({ part: "audit" });
  const calls = new PrivilegedCalls({ clock, append: (fields) => auditLog?.append(fields) });
  /** @param more only for the audit log */
  const record = (fields: Fields, severity: "info" | "warning", sentence: string, more: Fields = {}): void => {
    log.info(fields, sentence);
    events.emit("audit", fields, severity);
    auditLog?.append({ ...fields, ...more });
  };
  const boundedOf = (kindsMax: number): BoundedReports<Refusal> =>
    new BoundedReports({
      clock,
      windowMs,
      toldMax: kindsMax,
      keyOf: ({ key }) => key,
      tell: ({ fields, sentence, more }) => record(fields, "warning", sentence, more),
      tellRest: (count) =>
        record({ kind: "repeated", decision: "deny", count }, "warning", "more like these were refused"),
    });
  const bounded = boundedOf(toldMax);
  // Apart, so that whoever has proved nothing cannot fill the window with what he calls methods and hide the others in a count.
  const strangers = boundedOf(strangersToldMax);
  return {
    command: (decision) => {
      const fields = commandFields(decision);
      // What would be decided is no decision, and asking costs nothing: it must not fill the spool.
      if (decision.isDryRun) log.info(fields, "a command was judged without being run");
      else if (decision.decision === "allow") record(fields, "info", "a command was allowed");
      else record(fields, "warning", "a command was refused");
    },
    egress: (decision) => {
      const fields = egressFields(decision);
      const { host, port } = decision;
      if (decision.decision === "deny") {
        bounded.report({ key: `egress ${host} ${port}`, fields, sentence: "a connection of a process was refused" });
      } else log.debug(fields, "a process asked the proxy for a connection");
    },
    approval: (approval) => {
      const allowed = approval.decision === "allow";
      const sentence = `a permission request of an agent was ${allowed ? "allowed" : "denied"}`;
      record(approvalFields(approval), allowed ? "info" : "warning", sentence);
    },
    decisionRefused: ({ approval_id, decision: wanted }, decider, error) => {
      const { subject: caller, role, via, on_behalf_of } = decider;
      const who = { caller, role, via, on_behalf_of };
      const fields = { kind: "approval", decision: "deny", approval_id, wanted, ...who, error_type: error.type };
      const key = JSON.stringify([approval_id, who, error.type]);
      const sentence = "a decision about a permission request was refused";
      bounded.report({ key, fields: { ...fields, reason: error.message }, sentence });
    },
    toolCall: ({ decision, processId, toolName, toolUseId, rule, reason }) => {
      const about = { process_id: processId, tool_name: toolName, tool_use_id: toolUseId };
      const fields = { kind: "tool_call", decision, ...about, rule, reason };
      if (decision === "allow") record(fields, "info", "a tool call of an agent was allowed by a rule");
      else record(fields, "warning", "a tool call of an agent was denied");
    },
    config: (by, changes) => record(configFields(by, changes), "info", "the configuration was changed"),
    configRefused: (by, section, error) => {
      const fields = refusedConfigFields(by, section, error);
      const sentence = "a change of the configuration was refused";
      bounded.report({ key: JSON.stringify(["config", by, section, error.type]), fields, sentence });
    },
    call: (served) => {
      const refused = callRefusal(served);
      if (refused !== undefined) (served.caller === undefined ? strangers : bounded).report(refused);
      else calls.record(served);
    },
    [Symbol.dispose]: () => {
      bounded[Symbol.dispose]();
      strangers[Symbol.dispose]();
      calls[Symbol.dispose]();
    },
  };
}

function commandFields(decision: CommandDecision): Fields {
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

/** Without the input, which may hold secrets. */
function approvalFields(approval: Approval): Fields {
  const { decision, approval_id, state, tool_name, input_hash, process_id, decided_at, decided_by } = approval;
  return {
    kind: "approval",
    decision,
    ...{ approval_id, state, tool_name, input_hash, process_id, decided_at },
    caller: decided_by?.subject,
    role: decided_by?.role,
    via: decided_by?.via,
    on_behalf_of: decided_by?.on_behalf_of,
    remember: approval.remember,
    input_changed: approval.updated_input === undefined ? undefined : true,
  };
}

function egressFields({ durationMs, ...decision }: EgressDecision): Fields {
  return { kind: "egress", ...decision, decided_ms: rounded(durationMs) };
}

/** A caller that is not known, whose role lacks the permission, or who is over its rate; undefined for everything else. */
function callRefusal(call: CallRecord): Refusal | undefined {
  const { method, caller, error, from } = call;
  if (!(error instanceof HlError)) return undefined;
  const { type } = error;
  if (type !== "unauthenticated" && type !== "permission_denied" && type !== "rate_limited") return undefined;
  const who = { ...whoOf(caller), from };
  // A caller that nobody knows is told less than the auditor.
  const reason = error.cause instanceof Error ? error.cause.message : error.message;
  const named = shownMethod(method);
  const fields = {
    kind: "call",
    decision: "deny",
    method: named,
    ...who,
    error_type: error.type,
    reason,
  };
  const key = JSON.stringify([named, who, error.type, reason]);
  return { key, fields, sentence: "a request was refused", more: detailsOf(call) };
}

const methodCharactersMax = 64;

/** The name of a method is what a caller that nobody knows has written: it is not to fill the log. */
export function shownMethod(method: string): string {
  return method.length <= methodCharactersMax ? method : `${method.slice(0, methodCharactersMax)}…`;
}

/** Microseconds are enough. */
function rounded(ms: number): number {
  return Math.round(ms * 1000) / 1000;
}
