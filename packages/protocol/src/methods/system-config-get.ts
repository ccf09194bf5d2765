import { z } from "zod";
import { defineMethod } from "../method.ts";

export const systemConfigGet = defineMethod({
  name: "system/config/get",
  summary: "The configuration in force, secrets masked, with the source of every value that is not a default.",
  direction: "to-daemon",
  permission: "system:monitor",
  idempotent: true,
  timeoutMs: 5_000,
  errors: ["config_invalid"],
  params: z.object({
    config_section: z.string().max(200).optional().describe("For example `process_management`; all without it"),
  }),
  result: z.object({
    config: z.unknown(),
    sources: z.record(z.string(), z.string()).describe("JSON pointer → file or environment variable"),
  }),
});
