import * as z from "zod";
import { columns, commandId, rows } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const commandResize = defineMethod({
  name: "command/resize",
  summary:
    "Change the size of a command's terminal; its foreground program gets SIGWINCH. Of a command without `pty` it is invalid_params.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["command_unknown"],
  params: z.object({ command_id: commandId, rows, columns }),
  result: z.object({ resized: z.boolean().describe("False when the command had ended already") }),
});
