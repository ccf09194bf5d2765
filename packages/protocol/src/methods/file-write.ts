import * as z from "zod";
import { byteOffset, encoding, fileMode, filePath, sha256, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const fileWrite = defineMethod({
  name: "file/write",
  summary:
    "Replace a file as a whole, or upload one in parts and replace it with the last; never is a half of it to be seen.",
  direction: "to-daemon",
  permission: "file:write",
  idempotent: true, // The same content again changes nothing, and a part that has arrived is not appended twice.
  timeoutMs: 600_000,
  errors: [
    "path_denied",
    "file_not_found",
    "file_exists",
    "not_a_file",
    "not_a_directory",
    "no_space",
    "file_changed",
    "upload_offset",
    "checksum_mismatch",
    ...workspaceErrors,
  ],
  params: z
    .object({
      path: filePath,
      data: z
        .string()
        .max(8_388_608)
        .describe(
          "All of the file; with `upload_id` the part at `offset`, and an empty one asks how far the upload is",
        ),
      encoding: encoding.default("utf8"),
      mode: fileMode
        .optional()
        .describe("Permission bits; default those of the file that is replaced, else what the umask leaves"),
      create_parents: z.boolean().default(false).describe("Make the folders above it where they are missing"),
      expected_sha256: z
        .union([sha256, z.literal("")])
        .optional()
        .describe(
          "Replace only this content, else file_changed; empty: only where there is no file yet, else file_exists",
        ),
      upload_id: z
        .string()
        .regex(/^[A-Za-z0-9_-]{1,64}$/, "must be 1 to 64 of A-Z a-z 0-9 _ -")
        .optional()
        .describe(
          "Chosen by the caller. The parts of an upload gather in a hidden file beside the target, and survive every restart",
        ),
      offset: byteOffset
        .optional()
        .describe("Where the part begins. Beyond what has arrived it is upload_offset, with `received_bytes`"),
      final: z
        .boolean()
        .default(false)
        .describe("The upload ends with this part: it is checked against `sha256` and becomes the file"),
      sha256: sha256.optional().describe("Of the whole upload; needed with `final`"),
    })
    .superRefine(({ upload_id, offset, final, sha256: whole }, context) => {
      const problem = (path: string, message: string): void =>
        context.addIssue({ code: "custom", path: [path], message });
      if (upload_id === undefined && (offset !== undefined || final))
        problem("upload_id", "is needed with offset and final");
      if (upload_id !== undefined && offset === undefined) problem("offset", "is needed with upload_id");
      if (final && whole === undefined) problem("sha256", "is needed with final");
    }),
  result: z.object({
    path: z.string().describe("Where it really lies"),
    size: z.int().describe("Bytes of the file; of an upload that is not final, of what has arrived"),
    sha256: sha256.optional().describe("Of the file; absent while an upload is not final"),
    received_bytes: z.int().optional().describe("Of an upload that is not final: where to go on"),
  }),
});
