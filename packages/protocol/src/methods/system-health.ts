import * as z from "zod";
import { laneName } from "../event-lanes.ts";
import { linkSettingsSchema } from "../link-settings.ts";
import { defineMethod } from "../method.ts";
import { agentUsage } from "./claude-list.ts";

const alert = z.object({
  code: z.string().describe("A check of docs/health.md"),
  severity: z.enum(["info", "warning", "critical"]),
  title: z.string(),
  text: z.string().describe("What was seen"),
  remedy: z.string().optional().describe("What to do"),
  since: z.number().optional().describe("Unix seconds"),
});

export const systemHealth = defineMethod({
  name: "system/health",
  summary: "Whether the daemon and what depends on it are well, with the figures behind the verdict.",
  direction: "to-daemon",
  permission: "system:monitor",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({ detailed: z.boolean().default(false).describe("Include recent errors and every agent") }),
  result: z.object({
    status: z.enum(["healthy", "degraded", "unhealthy"]),
    timestamp: z.number(),
    uptime: z.number().describe("Seconds since the daemon started"),
    version: z.string(),
    system_metrics: z.object({
      cpu_usage: z.number().describe("Percent of all cores since the last sample"),
      memory_usage: z.number().describe("Used memory of the VM in MB"),
      disk_usage: z.number().describe("Percent of the data file system"),
      load_average: z.array(z.number()).describe("1, 5 and 15 minutes"),
      network_io: z.object({ bytes_sent: z.number(), bytes_received: z.number() }),
    }),
    service_status: z.object({
      claude_code: z.enum(["running", "stopped", "error"]),
      api_connection: z.enum(["connected", "disconnected", "error"]),
      event_streaming: z.enum(["active", "inactive", "error"]),
    }),
    recent_errors: z.array(z.string()).optional(),
    alerts: z.array(alert),
    agents: z.object({
      running: z.int(),
      usage: agentUsage.optional().describe("Of all agents since this daemon's database began; claude/status has each"),
      memory_mb: z.number().optional().describe("MiB of all of them and what they have started, as last seen"),
      list: z.array(z.object({ process_id: z.string(), status: z.string() })).optional(),
    }),
    spool: z.object({
      depth: z.int().describe("Events not yet taken by the cloud"),
      bytes: z.int(),
      oldest_age: z.number().describe("Seconds; 0 when empty"),
      rejected: z.int().describe("Refused since the start"),
      gaps: z.int().describe("`gap` events since the start: something was dropped or is missing"),
      dead_letters: z.int(),
      lanes: z
        .array(z.object({ lane: laneName, depth: z.int(), bytes: z.int(), oldest_age: z.number() }))
        .optional()
        .describe("Depth, bytes and oldest age of each lane, in the order in which they are sent"),
    }),
    commands: z.object({ running: z.int(), finished: z.int() }),
    cloud: z.object({
      configured: z.boolean(),
      last_contact: z.number().nullable().describe("Unix seconds"),
      reconnects: z.int(),
      clock_skew_ms: z
        .int()
        .nullable()
        .optional()
        .describe("How far the control plane's clock is ahead of this machine's; null before it has said the time"),
      settings: linkSettingsSchema
        .optional()
        .describe("Numbers of the link that the control plane has set and that hold therefore, after clamping"),
    }),
    process: z.object({
      memory_rss_mb: z.number().describe("The daemon's own resident memory"),
      loop_delay_ms: z
        .number()
        .describe(
          "99th percentile of the event loop's delay since the last round, looked at once a second while the loop works",
        ),
      cpu_seconds: z.number().optional().describe("Processor time of the daemon since its start, user and system"),
      open_fds: z.int().optional().describe("Its open descriptors; missing where /proc does not show them"),
    }),
  }),
});
