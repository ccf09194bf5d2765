import * as z from "zod";
import { configChange, configPlace } from "../config-change.ts";
import { defineMethod } from "../method.ts";

export const systemConfigUpdate = defineMethod({
  name: "system/config/update",
  summary:
    "Changes settings: judges the whole, keeps it over restarts in the overrides file, and applies what a running daemon can take over. Nothing changes where anything is wrong.",
  direction: "to-daemon",
  permission: "system:configure",
  // One that comes again later must not undo what was set meanwhile: the inbox answers it (C1).
  idempotent: false,
  timeoutMs: null,
  errors: ["config_invalid", "config_read_only", "no_space", "config_not_saved", "shutting_down"],
  params: z.object({
    config_section: configPlace.describe(
      "A section or key of daemon.json, such as `process_management` or `logging.level`; empty for several sections at once",
    ),
    config_data: z
      .unknown()
      .optional()
      .describe(
        "Keys of the section with their new values, those that are not named stay; of a key its value. Lists and maps are replaced whole, `null` takes an optional key back",
      ),
    restart_required: z.boolean().optional().describe("Not believed: it is computed"),
    reset: z
      .array(configPlace.min(1))
      .max(1_000)
      .optional()
      .describe("Keys and sections below `config_section` that get back the value of the files"),
    dry_run: z.boolean().default(false).describe("Only judge and say what would change"),
  }),
  result: z.object({
    success: z.boolean(),
    restart_required: z.boolean().describe("Something of what was changed holds only at the next start"),
    validation_errors: z.array(z.string()).optional().describe("Only of an error: it is in its data"),
    changes: z.array(configChange).describe("What differs by this, against what held or was to hold at the next start"),
    waiting: z.array(configChange).describe("All that waits for the next start, against what is in force"),
    overruled: z
      .array(z.object({ pointer: z.string(), variable: z.string() }))
      .describe("Keys that are set and do not hold: a variable of the daemon's environment is stronger"),
    dry_run: z.boolean().optional().describe("True where nothing was changed"),
  }),
});
