/**
 * Every check of health, once: what an alert of it is called, how bad it is, how long it has to hold, and what to do. The verdict
 * (`healthy`, `degraded`, `unhealthy`) follows from this table and from what holds, and docs/health.md is rendered from it.
 * Codes are a contract with whoever watches daemons: rows are only ever added.
 */
export type HealthSeverity = "info" | "warning" | "critical";

export interface HealthCheck {
  readonly area: HealthArea;
  readonly severity: HealthSeverity;
  readonly title: string;
  /** What it means that it holds. */
  readonly meaning: string;
  readonly remedy: string;
  /** It is told when it has held for so long; 0 where it is told at once. */
  readonly holdOffMs: number;
  /** For what is measured: the key of daemon.json that it is compared with. */
  readonly threshold?: string;
  /** What the daemon does about it by itself, in the infinitive. */
  readonly healing?: string;
}

export type HealthArea =
  | "daemon loop"
  | "store"
  | "disk"
  | "memory"
  | "CPU"
  | "load"
  | "cloud"
  | "runner"
  | "agent"
  | "clock"
  | "certificates"
  | "logs"
  | "errors"
  | "settings"
  | "self-healing";

/** A measured check alerts above its threshold in so many rounds in a row. */
export const roundsToAlert = 2;
/** And ends below this share of it: a value on the threshold is one alert, not a hundred. */
export const clearShare = 0.95;

const alerts = "health_monitoring.alerts.";

export const healthChecks = {
  loop_delayed: {
    area: "daemon loop",
    severity: "warning",
    title: "The daemon answers late",
    meaning: "The 99th percentile of the event loop's delay is over the threshold.",
    remedy:
      "Look in `hl-client health` for what is busy; a reply of hundreds of megabytes or a machine without free processors are the usual reasons.",
    holdOffMs: 0,
    threshold: `${alerts}loop_delay_threshold_ms`,
  },
  cpu_high: {
    area: "CPU",
    severity: "warning",
    title: "The processors are busy",
    meaning: "The processors of the VM are busier than the threshold.",
    remedy: "`hl-client ps` shows what runs; cancel what should not, or give the VM more processors.",
    holdOffMs: 0,
    threshold: `${alerts}cpu_threshold`,
  },
  load_high: {
    area: "load",
    severity: "warning",
    title: "More work than processors",
    meaning: "The load average over one minute, per core, is over the threshold.",
    remedy: "`hl-client ps` shows what runs; a high load with idle processors is a slow disk.",
    holdOffMs: 0,
    threshold: `${alerts}load_threshold`,
  },
  memory_high: {
    area: "memory",
    severity: "warning",
    title: "Memory is short",
    meaning: "More of the VM's memory is in use than the threshold; what the kernel can give back does not count.",
    remedy: "`hl-client ps` and `hl-client claude list` show what runs; end some of it before the kernel does.",
    holdOffMs: 0,
    threshold: `${alerts}memory_threshold`,
  },
  disk_high: {
    area: "disk",
    severity: "warning",
    title: "The disk is filling up",
    meaning: "The file system of the data folder is fuller than the threshold.",
    remedy: "Remove what is not needed there, in the workspace first, or give the VM a larger disk.",
    holdOffMs: 0,
    threshold: `${alerts}disk_threshold`,
    healing: "keep only a quarter of what is kept of finished commands",
  },
  disk_full: {
    area: "disk",
    severity: "warning",
    title: "The disk is full",
    meaning: "A write of the database found no room: only critical events are taken.",
    remedy: "Free 5 % and at least 64 MiB of the disk of the data folder; everything is taken again then.",
    holdOffMs: 0,
    healing: "release the ballast and delete what was delivered",
  },
  no_inodes: {
    area: "disk",
    severity: "warning",
    title: "The disk has no room for more files",
    meaning: "Few inodes are free: commands and agents are refused for want of files.",
    remedy: "Remove files on the disk of the data folder; folders of caches have the most.",
    holdOffMs: 0,
  },
  disk_failing: {
    area: "store",
    severity: "warning",
    title: "The database cannot be written",
    meaning: "Writes fail for another reason than room: events and commands are refused until one succeeds.",
    remedy:
      "Look at the kernel's log (`journalctl -k`) and at the mount of the data folder: it may be read-only or broken.",
    holdOffMs: 0,
    healing: "try each write anew",
  },
  database_being_saved: {
    area: "store",
    severity: "warning",
    title: "The database is being saved",
    meaning: "It was corrupt, and what can be read of it is being saved: what needs it waits or is refused.",
    remedy: "Wait; a gigabyte takes about a minute.",
    holdOffMs: 0,
    healing: "save what can be read in a new database",
  },
  database_salvaged: {
    area: "store",
    severity: "warning",
    title: "The database was corrupt",
    meaning: "What could be read was saved, and an event of the type `gap` says what was not.",
    remedy: "Find out why (disk, memory, a copied VM), then remove the file that the text names.",
    holdOffMs: 0,
  },
  cloud_disconnected: {
    area: "cloud",
    severity: "warning",
    title: "No connection to the cloud",
    meaning: "The command channel has been away for ten seconds: events are kept, commands of the cloud wait.",
    remedy:
      "The text has the last error: a name, a proxy, a certificate, a pin (docs/tls.md) or a firewall. It reconnects by itself.",
    holdOffMs: 10_000,
    healing: "connect again, ever more seldom",
  },
  cloud_identity_in_use: refused("Another VM has this identity, as after copying a VM: give one of them a new one."),
  cloud_instance_revoked: refused("Somebody revoked this VM: enrol it anew if that was not meant."),
  cloud_token_superseded: refused("Another one enrolled as this VM: find out who, and enrol this one anew."),
  cloud_unauthenticated: refused("Its credentials are not valid there: enrol the VM with a new one-time token."),
  runner_lost: {
    area: "runner",
    severity: "critical",
    title: "hl-runner does not run",
    meaning: "Nothing can be started. What ran goes on under its shims.",
    remedy:
      "With an installed runner `systemctl status 'hl-runner@*'`; else the daemon's log says why it ends. When its cause is gone, `hl-client doctor --retry`.",
    holdOffMs: 5_000,
    healing: "start hl-runner again",
  },
  sandbox_unavailable: {
    area: "runner",
    severity: "warning",
    title: "The sandbox cannot be enforced",
    meaning: "The kernel or the unit lacks what the configured sandbox needs: what cannot be confined is refused.",
    remedy: "The text names what is missing: enable it, or change the configuration knowingly.",
    holdOffMs: 0,
  },
  agent_stuck: {
    area: "agent",
    severity: "warning",
    title: "An agent hangs",
    meaning: "It answered no ping twice in a row.",
    remedy: "Nothing to do while it is started again; if it hangs each time, look at its log and at its tools.",
    holdOffMs: 0,
    healing: "end the agent and start it again",
  },
  agent_restarting: {
    area: "agent",
    severity: "warning",
    title: "An agent has ended",
    meaning: "It ended without having been asked to and waits for its next start.",
    remedy: "Nothing to do while there are attempts left; the exit code and its log say why it ends.",
    holdOffMs: 0,
    healing: "start the agent again with its session",
  },
  agent_memory_high: {
    area: "agent",
    severity: "warning",
    title: "An agent takes much memory",
    meaning: "It and what it has started are above `claude_integration.memory_alert_mb`.",
    remedy: "Stop it and resume its session to give that back.",
    holdOffMs: 0,
    threshold: "claude_integration.memory_alert_mb",
  },
  clock_skewed: {
    area: "clock",
    severity: "warning",
    title: "The clock is wrong",
    meaning: "This machine's clock and the control plane's differ by more than the threshold.",
    remedy: "Start time synchronisation: `timedatectl set-ntp true`, and `timedatectl timesync-status`.",
    holdOffMs: 0,
    threshold: `${alerts}clock_skew_threshold_seconds`,
  },
  certificate_expiring: {
    area: "certificates",
    severity: "warning",
    title: "A certificate expires soon",
    meaning: "Fewer days than the threshold are left of a certificate that the daemon shows.",
    remedy: "Renew it, put it in place of the old one, and restart the daemon.",
    holdOffMs: 0,
    threshold: `${alerts}certificate_threshold_days`,
  },
  certificate_expired: {
    area: "certificates",
    severity: "critical",
    title: "A certificate has expired",
    meaning: "Whoever the daemon shows it to refuses the connection.",
    remedy: "Renew it, put it in place of the old one, and restart the daemon.",
    holdOffMs: 0,
  },
  daemon_log_failing: logFailing("daemon"),
  audit_log_failing: logFailing("audit"),
  logs_large: {
    area: "logs",
    severity: "warning",
    title: "The logs are large",
    meaning: "The files of the log folder take more than the threshold.",
    remedy: "Lower `logging.max_size`, `logging.backup_count` or the log level; the audit log is never removed for it.",
    holdOffMs: 0,
    threshold: `${alerts}log_size_threshold_mb`,
    healing: "remove the oldest rotated files, but those of the audit log",
  },
  error_rate_high: {
    area: "errors",
    severity: "warning",
    title: "Many requests fail",
    meaning:
      "Of at least 20 requests in a round a larger share than the threshold failed by the daemon's fault: unexpectedly, for want of disk, database or runner.",
    remedy: "`hl-client health` shows recent errors, the daemon's log each of them.",
    holdOffMs: 0,
    threshold: `${alerts}error_rate_threshold`,
  },
  config_overrides_rejected: {
    area: "settings",
    severity: "warning",
    title: "Settings do not hold",
    meaning: "A part of what was set with `system/config/update` contradicts the files and is left out.",
    remedy: "Set it anew, or take it back with `hl-client config unset`.",
    holdOffMs: 0,
  },
  self_healing_exhausted: {
    area: "self-healing",
    severity: "warning",
    title: "Self-healing has stopped",
    meaning: "A part failed more often in a row than `health_monitoring.self_healing.max_restart_attempts` allows.",
    remedy: "Remove the cause that the text names, then `hl-client doctor --retry`.",
    holdOffMs: 0,
  },
} as const satisfies Readonly<Record<string, HealthCheck>>;

export type HealthCode = keyof typeof healthChecks;

export const healthCodes = Object.keys(healthChecks) as readonly HealthCode[];

function refused(remedy: string): HealthCheck {
  return {
    area: "cloud",
    severity: "warning",
    title: "The control plane refuses this VM",
    meaning: "Only the heartbeat asks again, ever more seldom. Events are kept.",
    remedy,
    holdOffMs: 0,
  };
}

function logFailing(log: string): HealthCheck {
  return {
    area: "logs",
    severity: "warning",
    title: `The ${log} log cannot be written`,
    meaning: "The newest lines wait in memory; what is more than that is lost, and counted in the file later.",
    remedy: "Free some space, or give the folder back to the daemon's user.",
    holdOffMs: 0,
    healing: "write what waits as soon as the file can be written",
  };
}
