import { z } from "zod";
import { commandId, encoding } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const commandInput = defineMethod({
  name: "command/input",
  summary:
    "Write to the standard input of a command that was started with `stdin`; answers when it has taken the bytes.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: false,
  timeoutMs: null,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    data: z.string().max(8_388_608).default(""),
    encoding: encoding.default("utf8"),
    eof: z.boolean().default(false).describe("Close standard input after the data"),
  }),
  result: z.object({ accepted_bytes: z.int(), closed: z.boolean().describe("The command no longer reads") }),
});
