import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";

/** Well-formed results that tests change where it matters. */
export const healthSample: ResultOf<typeof systemHealth> = {
  status: "healthy",
  timestamp: 1_700_000_000,
  uptime: 3_725,
  version: "0.1.0",
  system_metrics: {
    cpu_usage: 12.34,
    memory_usage: 512.4,
    disk_usage: 40,
    load_average: [0.1, 0.2, 0.3],
    network_io: { bytes_sent: 2_048, bytes_received: 10 },
  },
  service_status: { claude_code: "running", api_connection: "connected", event_streaming: "active" },
  alerts: [],
  agents: { running: 1 },
  spool: { depth: 0, bytes: 0, oldest_age: 0, rejected: 0, gaps: 0, dead_letters: 0 },
  commands: { running: 2, finished: 14 },
  cloud: { configured: false, last_contact: null, reconnects: 0 },
  process: { memory_rss_mb: 55.5, loop_delay_ms: 1.5 },
};

export const diskAlert = {
  code: "disk_low",
  severity: "warning",
  title: "The disk is nearly full",
  text: "Free some space.",
} as const;

export const infoSample: ResultOf<typeof systemInfo> = {
  name: "hl-daemon",
  version: "0.1.0",
  protocol_version: "1.0",
  instance_id: "vm-1",
  workspace_id: "ws-1",
  environment: "production",
  pid: 99,
  boot_id: "b",
  epoch: "e",
  started_at: 1_700_000_000,
  system: { os: "linux", kernel: "6.1", arch: "x64", hostname: "box", cpu_cores: 2, memory: 4_096, disk_space: 1_000 },
  sandbox: { mode: true, landlock_abi: 4, enforced: ["landlock"] },
  limits: { memory: "cgroup", cpu: "cgroup", processes: "cgroup" },
  capabilities: [],
};
