/**
 * The metrics of `GET /metrics`, each defined once: prometheus.ts writes them, docs/metrics.md lists them, and the names in packaging/ are looked up
 * here. A name is a contract: add, never change.
 */
import type { Health } from "./monitor.ts";

export interface Metric {
  readonly name: string;
  readonly type: "gauge" | "counter";
  /** One line, without a backslash, as Prometheus and the page show it. */
  readonly help: string;
  readonly unit:
    "seconds" | "bytes" | "percent" | "USD" | "events" | "commands" | "agents" | "turns" | "calls" | "tokens" | "";
  /** Undefined where it is not known here: then the metric is left out. */
  readonly read: (health: Health) => number | undefined;
}

/** One with a sample for each value of a label. */
export interface LabelledMetric extends Omit<Metric, "read"> {
  readonly label: string;
  readonly readEach: (health: Health) => readonly (readonly [value: string, sample: number])[];
}

const mebibyte = 1_048_576;

const states = ["healthy", "degraded", "unhealthy"] as const;

type Usage = NonNullable<Health["agents"]["usage"]>;

/** Counted over restarts of the daemon. */
const ofAgents = (name: string, unit: Metric["unit"], help: string, figure: keyof Usage): Metric => ({
  ...{ name: `hl_daemon_agent_${name}_total`, type: "counter", unit, help },
  read: ({ agents }) => agents.usage?.[figure] ?? 0,
});

type Lane = NonNullable<Health["spool"]["lanes"]>[number];

const ofLanes = (
  name: string,
  unit: Metric["unit"],
  help: string,
  figure: Exclude<keyof Lane, "lane">,
): LabelledMetric => ({
  ...{ name: `hl_daemon_spool_lane_${name}`, type: "gauge", unit, help, label: "lane" },
  readEach: ({ spool }) => (spool.lanes ?? []).map((lane) => [lane.lane, lane[figure]]),
});

export const metrics: readonly (Metric | LabelledMetric)[] = [
  {
    ...{ name: "hl_daemon_health", type: "gauge", unit: "", help: "0 healthy, 1 degraded, 2 unhealthy" },
    read: ({ status }) => states.indexOf(status),
  },
  {
    ...{ name: "hl_daemon_alerts", type: "gauge", unit: "", help: "Conditions that health tells at present" },
    read: ({ alerts }) => alerts.length,
  },
  {
    ...{ name: "hl_daemon_uptime_seconds", type: "gauge", unit: "seconds", help: "Since the daemon started" },
    read: ({ uptime }) => uptime,
  },
  {
    ...{ name: "hl_daemon_memory_rss_bytes", type: "gauge", unit: "bytes", help: "Resident memory of the daemon" },
    read: ({ process }) => process.memory_rss_mb * mebibyte,
  },
  // Names that every exporter has, so that dashboards of others show the daemon too.
  {
    ...{ name: "process_cpu_seconds_total", type: "counter", unit: "seconds" },
    help: "Processor time of the daemon, user and system",
    read: ({ process }) => process.cpu_seconds,
  },
  {
    ...{ name: "process_open_fds", type: "gauge", unit: "", help: "Open descriptors of the daemon" },
    read: ({ process }) => process.open_fds,
  },
  {
    ...{ name: "process_resident_memory_bytes", type: "gauge", unit: "bytes" },
    help: "The same as hl_daemon_memory_rss_bytes",
    read: ({ process }) => process.memory_rss_mb * mebibyte,
  },
  {
    ...{ name: "hl_daemon_loop_delay_seconds", type: "gauge", unit: "seconds" },
    help: "99th percentile of the event loop's delay, looked at once a second while the loop works",
    read: ({ process }) => process.loop_delay_ms / 1000,
  },
  {
    ...{ name: "hl_daemon_system_cpu_percent", type: "gauge", unit: "percent" },
    help: "Processors of the VM in use, all cores together being 100",
    read: ({ system_metrics: system }) => system.cpu_usage,
  },
  {
    ...{ name: "hl_daemon_system_memory_used_bytes", type: "gauge", unit: "bytes", help: "Memory of the VM in use" },
    read: ({ system_metrics: system }) => system.memory_usage * mebibyte,
  },
  {
    ...{ name: "hl_daemon_system_disk_percent", type: "gauge", unit: "percent" },
    help: "The file system of the daemon's data in use",
    read: ({ system_metrics: system }) => system.disk_usage,
  },
  {
    ...{ name: "hl_daemon_system_load", type: "gauge", unit: "", help: "Load average over one minute" },
    read: ({ system_metrics: system }) => system.load_average[0] ?? 0,
  },
  {
    ...{ name: "hl_daemon_commands_running", type: "gauge", unit: "commands", help: "Commands that run" },
    read: ({ commands }) => commands.running,
  },
  {
    ...{ name: "hl_daemon_agents_running", type: "gauge", unit: "agents", help: "Agents that run" },
    read: ({ agents }) => agents.running,
  },
  ofAgents("turns", "turns", "Turns of agents that have ended", "turns"),
  ofAgents("turn_errors", "turns", "Of these, those that ended with an error", "errors"),
  ofAgents("tool_calls", "calls", "Tools that agents have called", "tool_calls"),
  ofAgents("input_tokens", "tokens", "Tokens that agents have sent, not from a cache", "input_tokens"),
  ofAgents("output_tokens", "tokens", "Tokens that agents have received", "output_tokens"),
  ofAgents("cache_read_tokens", "tokens", "Tokens that came from a cache", "cache_read_tokens"),
  ofAgents("cache_creation_tokens", "tokens", "Tokens that went into a cache", "cache_creation_tokens"),
  ofAgents("cost_usd", "USD", "Cost as the agents estimate it", "cost_usd"),
  {
    ...{ name: "hl_daemon_agents_memory_bytes", type: "gauge", unit: "bytes" },
    help: "Memory of agents and what they have started, as last seen",
    read: ({ agents }) => (agents.memory_mb ?? 0) * mebibyte,
  },
  {
    ...{ name: "hl_daemon_spool_events", type: "gauge", unit: "events", help: "Events that wait for the cloud" },
    read: ({ spool }) => spool.depth,
  },
  {
    ...{ name: "hl_daemon_spool_bytes", type: "gauge", unit: "bytes", help: "Their size" },
    read: ({ spool }) => spool.bytes,
  },
  {
    ...{ name: "hl_daemon_spool_oldest_seconds", type: "gauge", unit: "seconds", help: "Age of the oldest of them" },
    read: ({ spool }) => spool.oldest_age,
  },
  ofLanes("events", "events", "Events that wait for the cloud, by lane", "depth"),
  ofLanes("bytes", "bytes", "Their size, by lane", "bytes"),
  ofLanes("oldest_seconds", "seconds", "Age of the oldest of them, by lane; 0 where none waits", "oldest_age"),
  {
    ...{
      name: "hl_daemon_events_rejected_total",
      type: "counter",
      unit: "events",
      help: "Events refused since the start",
    },
    read: ({ spool }) => spool.rejected,
  },
  {
    ...{ name: "hl_daemon_event_gaps_total", type: "counter", unit: "events", help: "Gap events since the start" },
    read: ({ spool }) => spool.gaps,
  },
  {
    ...{ name: "hl_daemon_events_dead_letters", type: "gauge", unit: "events", help: "Events the cloud refused" },
    read: ({ spool }) => spool.dead_letters,
  },
  {
    ...{ name: "hl_daemon_cloud_connected", type: "gauge", unit: "", help: "1 while the command channel is up" },
    read: ({ service_status }) => (service_status.api_connection === "connected" ? 1 : 0),
  },
  {
    ...{ name: "hl_daemon_cloud_reconnects_total", type: "counter", unit: "", help: "Reconnects since the start" },
    read: ({ cloud }) => cloud.reconnects,
  },
];
