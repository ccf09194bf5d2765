import { errorTable, HlError } from "@hl/protocol/errors.ts";
import type { CommandDecisionResult } from "@hl/protocol/methods/command-decision.ts";
import type { StartRequest } from "../runner/records.ts";
import { ruleOf } from "./decision.ts";

/** What `command/execute` would do, in the words of the protocol. */
export function allowedDecision(commandId: string, request: StartRequest, rule: string): CommandDecisionResult {
  const { sandbox } = request;
  return {
    command_id: commandId,
    status: "dry_run",
    decision: "allow",
    rule,
    plan: {
      executable: request.argv[0] ?? "",
      cwd: request.cwd,
      sandbox: {
        mode: sandbox !== undefined,
        network: request.network ?? "host",
        read: [...(sandbox?.read ?? [])],
        write: [...(sandbox?.write ?? [])],
      },
      limits: {
        ...(request.timeoutMs === undefined ? {} : { timeout: request.timeoutMs / 1000 }),
        ...(request.idleTimeoutMs === undefined ? {} : { idle_timeout: request.idleTimeoutMs / 1000 }),
        ...(request.memoryBytesMax === undefined ? {} : { memory_mb: request.memoryBytesMax / 1_048_576 }),
        ...(request.cpuPercentMax === undefined ? {} : { cpu_percent: request.cpuPercentMax }),
        ...(request.processesMax === undefined ? {} : { processes: request.processesMax }),
        open_files: request.openFilesMax,
        log_bytes: request.logBytesMax,
      },
    },
  };
}

/** A command that ran before under this id: asked for, it would be answered again. */
export function knownDecision(commandId: string): CommandDecisionResult {
  return { command_id: commandId, status: "dry_run", decision: "allow", known: true };
}

/** The error that `command/execute` would give, as an answer. Anything but a refusal is thrown on: it says nothing about the command. */
export function deniedDecision(commandId: string, error: unknown): CommandDecisionResult {
  if (!(error instanceof HlError)) throw error;
  const { code, help } = errorTable[error.type];
  const rule = ruleOf(error);
  return {
    command_id: commandId,
    status: "dry_run",
    decision: "deny",
    ...(rule === undefined ? {} : { rule }),
    error: { code, error_type: error.type, message: error.message, help },
  };
}
