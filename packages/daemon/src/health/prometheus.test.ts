/** Goal: figures by lane are samples of one metric, and what is not known is left out. Method: health of a monitor, changed by hand. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { Health } from "./monitor.ts";
import { prometheusText } from "./prometheus.ts";

const health = {
  status: "healthy",
  timestamp: 0,
  uptime: 1,
  version: "0",
  system_metrics: {
    ...{ cpu_usage: 1, memory_usage: 1, disk_usage: 1, load_average: [1, 1, 1] },
    network_io: { bytes_sent: 0, bytes_received: 0 },
  },
  service_status: { claude_code: "stopped", api_connection: "connected", event_streaming: "active" },
  alerts: [],
  agents: { running: 0 },
  spool: { depth: 3, bytes: 30, oldest_age: 5, rejected: 0, gaps: 0, dead_letters: 0 },
  commands: { running: 0, finished: 0 },
  cloud: { configured: true, last_contact: null, reconnects: 0 },
  process: { memory_rss_mb: 2, loop_delay_ms: 0 },
} satisfies Health;

test("a lane is a label; a figure that is not known is no line, not even its help", () => {
  const lanes = [
    { lane: "critical", depth: 1, bytes: 10, oldest_age: 5 },
    { lane: "session", depth: 2, bytes: 20, oldest_age: 0.5 },
  ];
  const text = prometheusText({ ...health, spool: { ...health.spool, lanes } });
  assert.match(
    text,
    /\n# TYPE hl_daemon_spool_lane_events gauge\nhl_daemon_spool_lane_events\{lane="critical"\} 1\nhl_daemon_spool_lane_events\{lane="session"\} 2\n#/,
  );
  assert.match(text, /\nhl_daemon_spool_lane_oldest_seconds\{lane="session"\} 0\.5\n/);
  assert.match(text, /\nprocess_resident_memory_bytes 2097152\n/);
  for (const unknown of ["process_open_fds", "process_cpu_seconds_total"]) assert.ok(!text.includes(unknown), unknown);
  const known = prometheusText({ ...health, process: { ...health.process, cpu_seconds: 1.5, open_fds: 9 } });
  assert.match(known, /\nprocess_cpu_seconds_total 1\.5\n[^]*\nprocess_open_fds 9\n/);
  assert.ok(!known.includes("spool_lane"));
});
