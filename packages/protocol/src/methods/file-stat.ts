import * as z from "zod";
import { fileFacts, filePath, sha256, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const fileStat = defineMethod({
  name: "file/stat",
  summary: "Say what lies at a path; of a symbolic link what it is itself, not what it leads to.",
  direction: "to-daemon",
  permission: "file:read",
  idempotent: true,
  timeoutMs: 600_000,
  errors: ["path_denied", "file_not_found", "not_a_file", "not_a_directory", ...workspaceErrors],
  params: z.object({
    path: filePath,
    checksum: z
      .boolean()
      .default(false)
      .describe("Read all of the file for its SHA-256; a link is followed then, and what is no file is not_a_file"),
  }),
  result: z.object({
    path: z.string().describe("Where it really lies"),
    ...fileFacts,
    sha256: sha256.optional(),
  }),
});
