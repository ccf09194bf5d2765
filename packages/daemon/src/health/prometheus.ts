import type { Health } from "./monitor.ts";

/** The figures of health in the Prometheus text format. */
export function prometheusText(health: Health): string {
  const state = ["healthy", "degraded", "unhealthy"].indexOf(health.status);
  const lines: [name: string, type: "gauge" | "counter", help: string, value: number][] = [
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
