import * as z from "zod";
import { filePath, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

const change = z.object({
  path: z.string().describe("Relative to what is watched; `.` is that itself"),
  type: z.enum(["created", "modified", "deleted"]),
});

export type FileChange = z.output<typeof change>;

export const fileChanged = z.object({
  watch_id: z.string(),
  changes: z.array(change),
  gap: z.boolean().optional().describe("Some changes are not told: look at all that is watched again (S2)"),
  ended: z.string().optional().describe("The watch has ended, and why; nothing follows"),
});

export type FileChanged = z.output<typeof fileChanged>;

export const fileWatch = defineMethod({
  name: "file/watch",
  summary:
    "Hear of changes below a folder until the caller leaves, cancels or asks file/unwatch; those within 50 ms come together.",
  direction: "to-daemon",
  permission: "file:read",
  idempotent: true,
  timeoutMs: 60_000,
  errors: ["path_denied", "file_not_found", "not_a_directory", "process_limit", ...workspaceErrors],
  params: z.object({
    path: filePath.default("."),
    recursive: z.boolean().default(true).describe("The folders below too; links are not followed"),
    exclude: z
      .array(z.string().min(1).max(255))
      .max(100)
      .default(["node_modules", ".git"])
      .describe("Names of files and folders that are not looked at, at any depth"),
  }),
  result: z.object({ watch_id: z.string(), path: z.string().describe("Where the folder really lies") }),
  notifications: { "file/changed": fileChanged },
});
