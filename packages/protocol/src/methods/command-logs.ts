import * as z from "zod";
import { byteOffset, commandId, encoding, stream } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const commandLogs = defineMethod({
  name: "command/logs",
  summary: "Read the recorded output of a command from an offset.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    stream: stream.optional().describe("Both, in the order they came, without it"),
    offset: byteOffset.default(0).describe("In bytes of that stream; of both streams together without `stream`"),
    limit: z.int().min(1).max(4_194_304).default(1_048_576).describe("Bytes to answer at most"),
  }),
  result: z.object({
    chunks: z.array(z.object({ stream, offset: byteOffset, data: z.string(), encoding })),
    next_offset: z.int().describe("Ask again from here"),
    eof: z.boolean().describe("The command has ended and this is all"),
    skipped_bytes: z
      .int()
      .describe("Bytes of this range that were lost or are no longer retained; they count in `next_offset` (P5)"),
  }),
});
