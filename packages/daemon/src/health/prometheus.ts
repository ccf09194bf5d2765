import type { Health } from "./monitor.ts";

type Line = [name: string, type: "gauge" | "counter", help: string, value: number];

/** Counted over restarts of the daemon. */
const agentFigures = [
  ["turns", "Turns of agents that have ended", "turns"],
  ["turn_errors", "Of these, those that ended with an error", "errors"],
  ["tool_calls", "Tools that agents have called", "tool_calls"],
  ["input_tokens", "Tokens that agents have sent, not from a cache", "input_tokens"],
  ["output_tokens", "Tokens that agents have received", "output_tokens"],
  ["cache_read_tokens", "Tokens that came from a cache", "cache_read_tokens"],
  ["cache_creation_tokens", "Tokens that went into a cache", "cache_creation_tokens"],
  ["cost_usd", "Cost as the agents estimate it", "cost_usd"],
] as const;

/** The figures of health in the Prometheus text format. */
export function prometheusText(health: Health): string {
  const state = ["healthy", "degraded", "unhealthy"].indexOf(health.status);
  const { usage } = health.agents;
  const lines: Line[] = [
    ["hl_daemon_health", "gauge", "0 healthy, 1 degraded, 2 unhealthy", state],
    ["hl_daemon_uptime_seconds", "gauge", "Since the daemon started", health.uptime],
    ["hl_daemon_memory_rss_bytes", "gauge", "Resident memory of the daemon", health.process.memory_rss_mb * 1_048_576],
    [
      "hl_daemon_loop_delay_seconds",
      "gauge",
      "99th percentile of the event loop's delay",
      health.process.loop_delay_ms / 1000,
    ],
    ["hl_daemon_commands_running", "gauge", "Commands that run", health.commands.running],
    ["hl_daemon_agents_running", "gauge", "Agents that run", health.agents.running],
    ...agentFigures.map(
      ([name, help, key]) => [`hl_daemon_agent_${name}_total`, "counter", help, usage?.[key] ?? 0] as Line,
    ),
    [
      "hl_daemon_agents_memory_bytes",
      "gauge",
      "Memory of agents and what they have started, as last seen",
      (health.agents.memory_mb ?? 0) * 1_048_576,
    ],
    ["hl_daemon_spool_events", "gauge", "Events that wait for the cloud", health.spool.depth],
    ["hl_daemon_spool_bytes", "gauge", "Their size", health.spool.bytes],
    ["hl_daemon_spool_oldest_seconds", "gauge", "Age of the oldest of them", health.spool.oldest_age],
    ["hl_daemon_events_rejected_total", "counter", "Events refused since the start", health.spool.rejected],
    ["hl_daemon_event_gaps_total", "counter", "Gap events since the start", health.spool.gaps],
    ["hl_daemon_events_dead_letters", "gauge", "Events the cloud refused", health.spool.dead_letters],
    [
      "hl_daemon_cloud_connected",
      "gauge",
      "1 while the command channel is up",
      health.service_status.api_connection === "connected" ? 1 : 0,
    ],
    ["hl_daemon_cloud_reconnects_total", "counter", "Reconnects since the start", health.cloud.reconnects],
  ];
  return lines
    .map(([name, type, help, value]) => `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${name} ${value}\n`)
    .join("");
}
