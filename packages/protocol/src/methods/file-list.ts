import * as z from "zod";
import { fileFacts, filePath, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

const entry = z.object({
  path: z.string().describe("Relative to the folder that was listed"),
  path_base64: z
    .string()
    .optional()
    .describe("Its bytes, where they are not valid UTF-8: `path` then only looks like it (P6)"),
  ...fileFacts,
});

export type ListedFile = z.output<typeof entry>;

export const fileList = defineMethod({
  name: "file/list",
  summary: "List a folder, to a depth; nearer entries come first, and links are listed, not followed.",
  direction: "to-daemon",
  permission: "file:read",
  idempotent: true,
  timeoutMs: 60_000,
  errors: ["path_denied", "file_not_found", "not_a_directory", ...workspaceErrors],
  params: z.object({
    path: filePath.default("."),
    depth: z.int().min(1).max(100).default(1).describe("1 is the folder's own entries"),
    limit: z
      .int()
      .min(1)
      .max(10_000)
      .default(1_000)
      .describe("Entries to answer at most; 1 MiB of answer is another limit"),
    include_hidden: z.boolean().default(true).describe("Names that begin with a dot too"),
    gitignore: z
      .boolean()
      .default(false)
      .describe("Leave out what the .gitignore files here, above and below leave out, and .git itself"),
  }),
  result: z.object({
    path: z.string().describe("Where the folder really lies"),
    entries: z.array(entry),
    truncated: z.boolean().describe("A limit was reached: there is more"),
    unreadable: z.array(z.string()).describe("Folders below that may not be read; nothing of them is listed"),
  }),
});
