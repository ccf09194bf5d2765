import * as z from "zod";
import { fileMethods } from "./file-methods.ts";
import { defineMethod, type MethodDefinition } from "./method.ts";
import { fileChanged } from "./methods/file-watch.ts";

/** What hl-daemon asks of hl-workspace: the file methods as callers know them, and what only the two of them need. */
const shared = {
  direction: "to-daemon",
  permission: "any",
  idempotent: true,
  errors: [],
} as const satisfies Partial<MethodDefinition>;

export const workspaceBegin = defineMethod({
  ...shared,
  name: "workspace/begin",
  summary: "Say which paths are judged how; comes first, and its answer says that the process is there.",
  timeoutMs: 10_000,
  params: z.object({
    /** Relative paths start here. */
    workspace: z.string(),
    allowed_paths: z.array(z.string()),
    blocked_paths: z.array(z.string()),
  }),
  result: z.object({ pid: z.int() }),
});

/** Each batch is asked for: a reader that is slow then fills neither the log nor anybody's memory (P5, P7). */
export const workspaceChanges = defineMethod({
  ...shared,
  name: "workspace/changes",
  summary: "Wait for the next changes of a watch and take them.",
  timeoutMs: null,
  params: z.object({ watch_id: z.string() }),
  result: fileChanged,
});

export const workspaceUnwatch = defineMethod({
  ...shared,
  name: "workspace/unwatch",
  summary: "End a watch.",
  timeoutMs: 10_000,
  params: z.object({ watch_id: z.string() }),
  result: z.object({}),
});

export const workspaceMethods = {
  "workspace/begin": workspaceBegin,
  "workspace/changes": workspaceChanges,
  "workspace/unwatch": workspaceUnwatch,
  ...fileMethods,
} as const;

export type WorkspaceMethods = typeof workspaceMethods;

/** The longest message between the two: the largest request that callers may send, and something around it. */
export const workspaceLineBytesMax = 32 * 1_048_576;
