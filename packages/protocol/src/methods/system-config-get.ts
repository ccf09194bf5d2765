import * as z from "zod";
import { configChange, configPlace } from "../config-change.ts";
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
    config_section: configPlace.optional().describe("For example `process_management`; all without it"),
    compare: z
      .enum(["defaults", "files"])
      .optional()
      .describe(
        "Answer also what differs: `defaults` from the defaults to what is in force, `files` from there to what is on the disk now",
      ),
  }),
  result: z.object({
    config: z.unknown(),
    sources: z.record(z.string(), z.string()).describe("JSON pointer → file or environment variable"),
    waiting: z
      .array(configChange)
      .optional()
      .describe("What was read or set since the start and holds only at the next one"),
    rejected: z
      .array(z.string())
      .optional()
      .describe("What is wrong in the overrides file and does not hold; the next update leaves it out"),
    differences: z.array(configChange).optional().describe("With `compare` only"),
  }),
});
