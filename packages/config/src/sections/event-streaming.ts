/** `event_streaming`: what the daemon reports, and how events wait and travel. */
import * as z from "zod";
import { bytes, choice, count, flag, key, paths, seconds, section } from "../declare.ts";

const eventType = z
  .string()
  .regex(/^[a-z][a-z0-9_]*(?:\.[a-z0-9_]+)*$/, 'must be lower-case words with "_" and "."')
  .max(128)
  .meta({ description: "event type" });

export const eventStreamingSection = section({
  summary: "Events.",
  keys: {
    enabled: flag({
      default: true,
      reload: "live",
      summary: "Whether events are sent; accepted ones are kept meanwhile.",
    }),
    batch_size: count({
      min: 1,
      max: 10_000,
      default: 100,
      unit: "events",
      reload: "live",
      summary: "Events in one request, within `batch_bytes`.",
    }),
    batch_bytes: bytes({
      min: 1024,
      max: 2 ** 20,
      default: 2 ** 20,
      reload: "live",
      summary: "Their size as JSON before compression; one larger event goes alone. Halved for a while after a 413.",
    }),
    flush_interval: seconds({
      min: 0.01,
      max: 3600,
      default: 5,
      reload: "live",
      summary: "Longest wait of an event for a fuller batch.",
    }),
    critical_flush_interval: seconds({
      min: 0.01,
      max: 3600,
      default: 0.2,
      reload: "live",
      summary:
        "The same for what must not be lost (ends of commands, refusals, approvals): people and programs wait for it. At most `flush_interval`.",
    }),
    max_queue_size: count({
      min: 1,
      max: 100_000_000,
      default: 10_000,
      unit: "events",
      reload: "live",
      summary: "Events that wait for the cloud; one more is rejected with a reason.",
    }),
    max_queue_bytes: bytes({
      min: 65_536,
      default: 512 * 2 ** 20,
      reload: "live",
      summary: "The same limit by size.",
    }),
    max_event_bytes: bytes({
      min: 1024,
      max: 2 ** 20,
      default: 256 * 1024,
      reload: "live",
      summary: "One event; a larger one is rejected.",
    }),
    ballast_bytes: bytes({
      min: 4 * 2 ** 20,
      max: 2 ** 30,
      default: 8 * 2 ** 20,
      reload: "restart",
      summary:
        "Kept free for a full disk by a file of this size beside the database: what is critical is still taken then, and SQLite needs room even to delete.",
    }),
    compression: choice({ values: ["gzip", "none"], default: "gzip", reload: "live", summary: "Coding of batches." }),
    encryption: flag({
      default: true,
      reload: "restart",
      summary: "Events leave only over TLS, or to a loopback address. For a cloud elsewhere false is refused.",
    }),
    event_types: key({
      schema: z.array(eventType).max(1000),
      default: [
        ...["process_start", "process_end", "file_change", "system_metric", "error", "health_check", "audit"],
        ...["health_alert", "self_healing", "daemon.restarting"],
        ...["approval.requested", "approval.decided"],
        ...["agent.turn_started", "agent.message", "agent.tool_call", "agent.tool_result", "agent.retry"],
        ...["agent.turn_completed", "agent.line_skipped", "agent.gap"],
        ...["agent.ready", "agent.exited", "agent.stuck", "agent.restart_failed", "agent.restart_cancelled"],
        ...["agent.memory_high", "agent.memory_normal"],
      ],
      reload: "live",
      summary: "What the daemon itself emits. Callers may send any well-formed type.",
    }),
    file_change_paths: paths({
      default: [],
      reload: "live",
      summary:
        "Folders whose changes are told as `file_change` events, those within 50 ms together, node_modules and .git left out. hl-workspace stays for them.",
    }),
  },
});
