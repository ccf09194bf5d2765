import * as z from "zod";
import { byteOffset, commandId, encoding } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const commandInput = defineMethod({
  name: "command/input",
  summary:
    "Write to the standard input of a command that was started with `stdin` or `pty`; answers when its pipe or terminal has taken the bytes. Of a command without either it is invalid_params.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: false,
  timeoutMs: null,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    data: z.string().max(8_388_608).default(""),
    encoding: encoding.default("utf8"),
    eof: z
      .boolean()
      .default(false)
      .describe(
        "Close standard input after the data; in a terminal type the end-of-file key, which line mode understands",
      ),
    offset: byteOffset
      .optional()
      .describe(
        "Of the data's first byte in all input of the command. Bytes that it has been given already are not written again, so that a lost answer may simply be asked for again; an offset beyond them is invalid_params",
      ),
  }),
  result: z.object({
    accepted_bytes: z.int().describe("Bytes of the data that its pipe or terminal has taken"),
    closed: z.boolean().describe("The command has ended or closed its input: what was not taken never will be"),
  }),
});
