import * as z from "zod";
import { byteOffset, encoding, filePath, sha256, unixTime, workspaceErrors } from "../fields.ts";
import { defineMethod } from "../method.ts";

/** One answer carries at most so much of a file: answers wait for their reader in a log of bounded size. */
export const readBytesMax = 1_048_576;

export const fileRead = defineMethod({
  name: "file/read",
  summary: "Read a file, or a range of it; a file over 1 MiB has to be read in ranges.",
  direction: "to-daemon",
  permission: "file:read",
  idempotent: true,
  timeoutMs: 60_000,
  errors: ["path_denied", "file_not_found", "not_a_file", "not_a_directory", "file_too_large", ...workspaceErrors],
  params: z.object({
    path: filePath,
    offset: byteOffset.optional().describe("First byte of the range; default 0"),
    length: z
      .int()
      .min(0)
      .max(readBytesMax)
      .optional()
      .describe("Bytes of the range; default as many as one answer may have"),
    encoding: encoding
      .optional()
      .describe(
        "Default: `utf8` where the bytes are valid UTF-8. They come as `base64` in any case where they are not",
      ),
  }),
  result: z.object({
    path: z.string().describe("Where it really lies"),
    data: z.string(),
    encoding,
    size: z
      .int()
      .describe("Bytes of the whole file; the range reaches its end where offset and length of the data come to it"),
    sha256: sha256
      .optional()
      .describe("Of the whole file; only where all of it was read, `file/stat` with `checksum` has it for any file"),
    mtime: unixTime("Last change of the content"),
  }),
});
