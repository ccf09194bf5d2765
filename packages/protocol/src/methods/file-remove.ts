import * as z from "zod";
import { filePath, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const fileRemove = defineMethod({
  name: "file/remove",
  summary: "Remove a file, a link or a folder; links are removed, not followed.",
  direction: "to-daemon",
  permission: "file:write",
  idempotent: false,
  timeoutMs: 600_000,
  errors: ["path_denied", "file_not_found", "not_a_directory", "directory_not_empty", ...workspaceErrors],
  params: z.object({
    path: filePath,
    recursive: z.boolean().default(false).describe("With all that the folder holds"),
  }),
  result: z.object({ path: z.string(), removed: z.int().describe("Files, links and folders that were removed") }),
});
