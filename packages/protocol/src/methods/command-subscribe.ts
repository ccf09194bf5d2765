import * as z from "zod";
import { byteOffset, commandId } from "../fields.ts";
import { defineMethod } from "../method.ts";
import { commandNotifications, commandResult, outputEncoding } from "./command-result.ts";

export const commandSubscribe = defineMethod({
  name: "command/subscribe",
  summary: "Follow a command's output from a position, then receive its end.",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true,
  timeoutMs: 10_000,
  errors: ["command_unknown"],
  params: z.object({
    command_id: commandId,
    offset: byteOffset
      .default(0)
      .describe("In bytes of both streams together: `position` of the last notification plus its length"),
    output_encoding: outputEncoding,
  }),
  result: commandResult,
  notifications: commandNotifications,
});
