import * as z from "zod";
import { fileMode, filePath, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const fileMkdir = defineMethod({
  name: "file/mkdir",
  summary: "Make a folder.",
  direction: "to-daemon",
  permission: "file:write",
  idempotent: false,
  timeoutMs: 60_000,
  errors: ["path_denied", "file_not_found", "file_exists", "not_a_directory", "no_space", ...workspaceErrors],
  params: z.object({
    path: filePath,
    parents: z.boolean().default(false).describe("Make those above it too, and be content with one that is there"),
    mode: fileMode.optional().describe("Permission bits; default what the umask leaves"),
  }),
  result: z.object({
    path: z.string().describe("Where it really lies"),
    created: z.boolean().describe("False where it was there already"),
  }),
});
