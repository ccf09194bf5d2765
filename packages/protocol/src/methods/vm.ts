import * as z from "zod";
import { lanesAcked } from "../event-lanes.ts";
import { linkSettingsSchema } from "../link-settings.ts";
import { defineMethod } from "../method.ts";
import { eventDeliver } from "./event-deliver.ts";

/** What the daemon asks of the cloud (DESIGN.md 4). */
export const systemInfoParams = z.object({
  os: z.string(),
  arch: z.string(),
  memory: z.number().describe("Total memory in MB"),
  cpu_cores: z.number(),
  disk_space: z.number().describe("Available disk space in MB"),
});

export const tokens = z.object({
  access_token: z.string(),
  refresh_token: z.string(),
});

export const vmRegister = defineMethod({
  name: "vm/register",
  summary: "Enrol a VM with its one-time token, or register an enrolled one again.",
  direction: "to-cloud",
  permission: "none",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["unauthenticated", "enrollment_invalid", "instance_revoked", "rate_limited"],
  params: z.object({
    instance_id: z.string().min(1).max(256),
    workspace_id: z.string().max(256),
    capabilities: z.array(z.string().max(128)).max(100),
    system_info: systemInfoParams,
    network_info: z.object({ ip_address: z.string(), hostname: z.string(), ports: z.array(z.int()) }).optional(),
    daemon_version: z.string().max(64).optional(),
    epoch: z.string().max(64).optional(),
  }),
  result: tokens.extend({
    registration_id: z.string(),
    api_endpoints: z
      .object({
        commands: z.string().optional(),
        events: z.string().optional(),
        heartbeat: z.string().optional(),
        status: z.string().optional(),
        token: z.string().optional(),
      })
      .describe(
        "URLs, or paths from the root of the cloud's host. Where one is not named, the VM's `cloud_api.endpoints` holds; daemons of before need all but `token`",
      ),
    configuration: z.object({ heartbeat_interval: z.number(), event_batch_size: z.int(), log_level: z.string() }),
  }),
});

export const vmTokenRefresh = defineMethod({
  name: "vm/token/refresh",
  summary: "Exchange the refresh token for new ones; the same rotation_id answers the same tokens (C4).",
  direction: "to-cloud",
  permission: "none",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["unauthenticated", "token_superseded", "identity_in_use", "instance_revoked"],
  params: z.object({ refresh_token: z.string().min(1).max(16_384), rotation_id: z.uuid() }),
  result: tokens,
});

export const vmHeartbeat = defineMethod({
  name: "vm/heartbeat",
  summary: "Sign of life with the figures an operator looks at first.",
  direction: "to-cloud",
  permission: "any",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["identity_in_use", "instance_revoked"],
  params: z.object({
    registration_id: z.string(),
    status: z.enum(["healthy", "degraded", "unhealthy"]),
    uptime: z.number(),
    spool_depth: z.int(),
    commands_running: z.int(),
    agents_running: z.int(),
    memory_rss_mb: z.number(),
    clock: z.number().describe("The VM's own wall clock, Unix seconds"),
  }),
  result: z.object({ server_time: z.number(), heartbeat_interval: z.number() }),
});

export const vmStatus = defineMethod({
  name: "vm/status",
  summary: "The full health of the VM, sent when it changes.",
  direction: "to-cloud",
  permission: "any",
  idempotent: true,
  timeoutMs: 30_000,
  errors: ["identity_in_use", "instance_revoked"],
  params: z.object({ registration_id: z.string(), health: z.record(z.string(), z.unknown()) }),
  result: z.object({ ok: z.literal(true) }),
});

/**
 * Sent by hl-cloud before it stops in order: the daemons come back at any moment within so many seconds, each by its own
 * dice, so that the next hl-cloud meets a fleet and not a wave. 0 is at once.
 */
export const vmDrain = z.object({ spread_seconds: z.number().min(0) });

/**
 * On every HTTP request of a daemon: which process of it asks. Two that are alive under one identity are a copied VM, and
 * only the one that holds the command channel is served.
 */
export const runIdHeader = "hl-run-id";

/**
 * On every batch of events: the process of hl-cloud with which the daemon has compared what it has of the events. Another one may have
 * come from a backup, and a batch that it took would hide what it lacks before that; so it answers `cloud_restarted` and says what it has.
 */
export const cloudRunIdHeader = "hl-cloud-run-id";

export const vmHello = defineMethod({
  name: "vm/hello",
  summary: "First message on the command channel: who is there, and what it runs.",
  direction: "to-cloud",
  permission: "any",
  idempotent: true,
  timeoutMs: 15_000,
  errors: ["unauthenticated", "identity_in_use", "instance_revoked", "protocol_unsupported"],
  params: z.object({
    registration_id: z.string(),
    daemon_version: z.string(),
    protocol_version: z.string().describe("Newest version that the daemon speaks"),
    protocol_min: z.string().optional().describe("Oldest one; without it the newest alone"),
    boot_id: z.string(),
    run_id: z.string().max(64).optional().describe("The process of the daemon, new at each of its starts"),
    epoch: z.string(),
    running: z.array(z.string()).describe("Command ids"),
    unacked_results: z
      .array(z.string())
      .describe("Request ids whose answers may not have arrived; empty, because the cloud asks for what it lacks (C1)"),
  }),
  result: z.object({
    protocol_version: z.string().describe("The one that both sides speak from now on"),
    session_id: z.string(),
    server_time: z.number(),
    fence: z.int().optional().describe("Grows with every session of the instance: of two, the higher one is the newer"),
    heartbeat_interval: z.number().optional().describe("Seconds; the daemon keeps it within its own limits"),
    limits: z
      .object({ message_bytes_max: z.int(), in_flight_max: z.int() })
      .optional()
      .describe("What the control plane accepts in a message, and how many requests it has at the daemon at once"),
    events_acked: lanesAcked
      .optional()
      .describe("What the cloud has of the daemon's epoch; less than was acknowledged is sent again"),
    cloud_run_id: z.string().optional().describe("The process of hl-cloud that says so, new at each of its starts"),
    settings: linkSettingsSchema
      .optional()
      .describe("Numbers of the link, as vm/settings sets them; what is not named stays as the daemon is configured"),
  }),
  notifications: { "vm/drain": vmDrain, "vm/settings": linkSettingsSchema },
});

export const cloudMethods = {
  "vm/register": vmRegister,
  "vm/token/refresh": vmTokenRefresh,
  "vm/heartbeat": vmHeartbeat,
  "vm/status": vmStatus,
  "vm/hello": vmHello,
  "event/stream": eventDeliver,
} as const;
