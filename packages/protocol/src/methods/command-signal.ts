import * as z from "zod";
import { commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";

export const commandSignal = defineMethod({
  name: "command/signal",
  summary: "Send a signal to the main process of a command.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: false,
  timeoutMs: 10_000,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    signal: z.enum([
      "SIGHUP",
      "SIGINT",
      "SIGQUIT",
      "SIGUSR1",
      "SIGUSR2",
      "SIGTERM",
      "SIGKILL",
      "SIGSTOP",
      "SIGCONT",
      "SIGWINCH",
    ]),
  }),
  result: z.object({ delivered: z.boolean().describe("False when the command had ended already") }),
});
