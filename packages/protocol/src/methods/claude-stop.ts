import * as z from "zod";
import { defineMethod } from "../method.ts";

export const claudeStop = defineMethod({
  name: "claude/stop",
  summary: "Stop an agent and wait until its whole process tree is gone (P1).",
  direction: "to-daemon",
  permission: "process:execute",
  idempotent: true, // One that has ended answers its recorded end.
  timeoutMs: 60_000,
  errors: ["claude_process_unknown"],
  params: z.object({
    process_id: z.string().min(1).max(128),
    force: z.boolean().default(false).describe("Kill at once"),
    timeout: z.number().min(0).max(30).default(5).describe("Seconds for an orderly end"),
  }),
  result: z.object({
    process_id: z.string(),
    status: z.enum(["stopped", "terminated"]).describe("terminated = it had to be killed"),
    exit_code: z.int(),
  }),
});
