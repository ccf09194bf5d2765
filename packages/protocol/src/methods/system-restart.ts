import * as z from "zod";
import { defineMethod } from "../method.ts";

export const systemRestart = defineMethod({
  name: "system/restart",
  summary:
    "Restart the daemon in order: this is answered first, and commands and agents go on under their shims (P3). Refused where nothing would start it again.",
  direction: "to-daemon",
  permission: "daemon:restart",
  // Asked again, it would be another restart: what comes twice is answered from the record (C1).
  idempotent: false,
  timeoutMs: 5_000,
  errors: ["not_supervised", "shutting_down"],
  params: z.object({}),
  result: z.object({
    status: z.literal("restarting"),
    pid: z.int().describe("Of the process that ends; system/info has the next one's"),
    started_at: z.number().describe("Of that process, as in system/info (Unix seconds)"),
    commands_running: z.int().describe("Commands that go on"),
    agents_running: z.int().describe("Agents that go on"),
  }),
});
