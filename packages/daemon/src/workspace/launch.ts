import { randomUUID } from "node:crypto";
import { join } from "node:path";
import { errorText } from "@hl/core/logger.ts";
import { foldersAbove } from "@hl/core/places.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { StartFailed, type Confinement, type StartRequest } from "../runner/records.ts";

/** Tells the runs of hl-workspace from those of commands and agents. */
export const workspaceIdPrefix = "workspace_";

/** What hl-workspace shares with commands: the sandbox. compose/ passes the planner of commands. */
export interface WorkspaceHost {
  readonly temporaryRoot: string;
  /** Throws where sandbox_mode is on and cannot be enforced (X2). */
  offlineConfinement(temporary: string, extraRead: readonly string[]): Confinement;
}

export interface LaunchSettings {
  readonly host: WorkspaceHost;
  readonly argv: readonly string[];
  /** What the sandbox must let it read to run. */
  readonly read: readonly string[];
}

/** Watches need none, and each level of a tree that is removed one. */
const openFilesMax = 4_096;

/**
 * All that can be unread at once has to fit, or an answer would be lost: 4 calls with 1 MiB of file each, six bytes for every byte of it where
 * JSON has to escape them all, 64 watches with 64 KiB each likewise: 48 MiB at the very worst; and the shim keeps the first segment (8 MiB)
 * for ever and makes room for a whole one ahead.
 */
const logBytesMax = 80 * 1_048_576;

export function launchRequest({ host, argv, read }: LaunchSettings): StartRequest {
  const id = `${workspaceIdPrefix}${randomUUID()}`;
  const temporary = join(host.temporaryRoot, id);
  return {
    id,
    argv,
    argv0: "hl-workspace",
    // Nothing of what is configured for commands: a variable may change what Node does.
    env: { PATH: "/usr/bin:/bin", LANG: "C.UTF-8", TMPDIR: temporary },
    cwd: "/",
    stdin: "pipe",
    graceMs: 1_000,
    openFilesMax,
    logBytesMax,
    directories: [...foldersAbove(host.temporaryRoot).reverse(), host.temporaryRoot],
    temporary,
    ...host.offlineConfinement(temporary, read),
  };
}

export function launchFailure(error: unknown): unknown {
  if (error instanceof HlError) return error;
  if (!(error instanceof StartFailed)) {
    return new HlError("runner_unavailable", `hl-runner cannot be reached: ${errorText(error)}`, {}, { cause: error });
  }
  const { stage, errno, message } = error;
  const facts = { stage, errno, reason: message };
  if (stage === "sandbox") {
    return new HlError("sandbox_unavailable", `the sandbox cannot be enforced: ${message}`, facts, { cause: error });
  }
  return new HlError("runner_unavailable", `hl-workspace cannot be started (${stage}): ${message}`, facts, {
    cause: error,
  });
}
