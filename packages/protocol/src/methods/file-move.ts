import * as z from "zod";
import { filePath, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const fileMove = defineMethod({
  name: "file/move",
  summary: "Rename or move a file, a link or a folder, inside one file system; links are moved, not followed.",
  direction: "to-daemon",
  permission: "file:write",
  idempotent: false,
  timeoutMs: 60_000,
  errors: [
    "path_denied",
    "file_not_found",
    "file_exists",
    "not_a_file",
    "not_a_directory",
    "directory_not_empty",
    "no_space",
    ...workspaceErrors,
  ],
  params: z.object({
    from: filePath,
    to: filePath.describe("The new path itself, not a folder to move into"),
    overwrite: z.boolean().default(false).describe("Replace a file, or an empty folder, that lies there"),
  }),
  result: z.object({ from: z.string(), to: z.string().describe("Where it really lies now") }),
});
