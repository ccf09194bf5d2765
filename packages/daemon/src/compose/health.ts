import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import { version } from "@hl/protocol/version.ts";
import type { Agents } from "../claude/agents.ts";
import type { Commands } from "../commands/commands.ts";
import type { Events } from "../events/events.ts";
import { HealthMonitor, type Health, type MonitorOptions } from "../health/monitor.ts";
import type { HostFacts } from "../host-facts.ts";
import type { Database } from "../store/database.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { EventSpool } from "../store/event-spool.ts";
import { agentConditions, isAgentFailing } from "./agent-health.ts";
import { firstProblem, type Enforceable } from "./enforceable.ts";
import { logConditions, type LogTrouble } from "./log-health.ts";
import { inodeConditions, inodesOf, storeConditions } from "./store-health.ts";
import { cloudHoldOffMs, type ComposedCloud } from "./cloud.ts";
import type { LiveConfig } from "./live-config.ts";

export interface HealthPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly host: HostFacts;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly database: Database;
  readonly spool: EventSpool;
  readonly events: Events;
  readonly commands: Commands;
  readonly agents: Agents;
  readonly enforceable: Enforceable;
  /** What is wrong in the overrides file and does not hold. */
  readonly rejectedOverrides: () => readonly string[];
  readonly logs: () => readonly LogTrouble[];
  readonly redactor: Redactor;
  /** Undefined where no cloud is configured. */
  readonly cloud: () => ComposedCloud | undefined;
  readonly stopping: AbortSignal;
}

/** Joins the monitor to what it watches and to those who want to hear of it. */
export function composeHealth(ports: HealthPorts): HealthMonitor {
  const { config, live, host, clock, spool, events, commands, agents } = ports;
  const logger = ports.logger.child({ part: "health" });
  const memoryAlertMb = live.part(({ daemon }) => daemon.claude_integration.memory_alert_mb);
  const parts: Omit<MonitorOptions, "enabled" | "intervalMs" | "thresholds"> = {
    version,
    clock,
    cores: host.cores,
    diskPath: join(config.home, "data"),
    sources: {
      spool: () => {
        const { depth, bytes, oldestMs, deadLetters } = spool.figures();
        const age = oldestMs === undefined ? 0 : Math.max(0, clock.wallMs() - oldestMs) / 1000;
        return {
          depth,
          bytes,
          oldest_age: age,
          rejected: events.rejected,
          gaps: spool.gaps,
          dead_letters: deadLetters,
        };
      },
      areEventsSent: live.part(({ daemon }) => daemon.event_streaming.enabled),
      commands: () => ({ running: commands.running, finished: commands.finished }),
      agents: () => agents.list().map(({ process_id, status }) => ({ process_id, status })),
      agentUsage: () => agents.usage(),
      agentFailed: () => agents.lastFailed,
      agentFailing: () => isAgentFailing(agents.live()),
      agentMemoryBytes: () => agents.live().reduce((sum, { memory }) => sum + (memory?.bytes ?? 0), 0),
      cloud: () => {
        const link = ports.cloud()?.link;
        const lastContactMs = link?.lastContactMs ?? null;
        return {
          configured: link !== undefined,
          connected: link?.connected ?? false,
          last_contact: lastContactMs === null ? null : lastContactMs / 1000,
          reconnects: link?.reconnects ?? 0,
          clock_skew_ms: link?.clockSkewMs ?? null,
          settings: link?.settings ?? {},
          lastError: link?.lastError,
        };
      },
      // They quote what went wrong, which may be an address with a password (X4).
      conditions: () =>
        ports.redactor.redact([
          ...storeConditions(ports.database),
          ...logConditions(ports.logs()),
          ...inodeConditions(inodesOf(join(config.home, "data"))),
          ...agentConditions(agents.live(), memoryAlertMb()),
          ...overridesConditions(ports.rejectedOverrides()),
          ...conditionsOf(config, ports.enforceable, ports.cloud()),
        ]) as Health["alerts"],
    },
    onChange: (health) => {
      logger.info({ status: health.status, alerts: health.alerts }, "health has changed");
      const severity = health.status === "healthy" ? "info" : "warning";
      events.emit("health_check", { status: health.status, alerts: health.alerts }, severity);
      void ports.cloud()?.sendStatus(health, ports.stopping);
    },
    onSample: (metrics) => {
      const running = agents.list().filter(({ status }) => status !== "ended").length;
      logger.debug({ ...metrics, agents_running: running }, "checked");
      events.emit("system_metric", { ...metrics, agents: { running, ...agents.usage() } });
      void ports.database.checkSpace();
    },
  };
  const settings = ({ daemon: { health_monitoring: health } }: Config): MonitorSettings => ({
    enabled: health.enabled,
    intervalMs: health.check_interval * 1000,
    thresholds: {
      cpuPercent: health.alerts.cpu_threshold,
      memoryPercent: health.alerts.memory_threshold,
      diskPercent: health.alerts.disk_threshold,
      loadPerCore: health.alerts.load_threshold,
    },
  });
  const monitor = new HealthMonitor(live.options(parts, settings));
  live.follow(settings, () => monitor.settingsChanged());
  return monitor;
}

type MonitorSettings = Pick<MonitorOptions, "intervalMs" | "thresholds"> & { readonly enabled: boolean };

/** `GET /health` answers everybody on this machine, so it says how the daemon is and not what it does. */
export function publicHealth(health: Health): { status: string } & Record<string, unknown> {
  const { status, timestamp, uptime, version: daemonVersion, service_status, alerts } = health;
  const shown = alerts.map(({ code, severity, title }) => ({ code, severity, title }));
  return { status, timestamp, uptime, version: daemonVersion, service_status, alerts: shown };
}

/** Nothing is quietly other than configured (X2): what was set once and does not hold is told. */
function overridesConditions(rejected: readonly string[]): Health["alerts"] {
  if (rejected.length === 0) return [];
  const text = `${rejected.join("; ")}. The next change by system/config/update leaves it out and keeps the file as config-overrides.json.rejected`;
  return [{ code: "config_overrides_rejected", severity: "warning", title: "Settings do not hold", text }];
}

function conditionsOf(config: Config, enforceable: Enforceable, cloud: ComposedCloud | undefined): Health["alerts"] {
  const alerts: Health["alerts"] = [];
  const problem = firstProblem(enforceable);
  if (config.daemon.security.sandbox_mode && problem !== undefined) {
    const { problem: ofAll, network } = enforceable;
    const who = (ofAll ?? network.problem) === undefined ? "agents" : "commands";
    const text = `${problem}; ${who} are refused until it is, or until security.sandbox_mode is false`;
    alerts.push({ code: "sandbox_unavailable", severity: "warning", title: "The sandbox cannot be enforced", text });
  }
  const shut = cloud?.shut();
  if (shut !== undefined) {
    const text = `${errorTable[shut].when}: ${errorTable[shut].help} Events are kept`;
    alerts.push({ code: `cloud_${shut}`, severity: "warning", title: "The control plane refuses this VM", text });
  }
  if (cloud !== undefined && cloud.link.disconnectedMs > cloudHoldOffMs) {
    const text = `${cloud.link.lastError ?? "no attempt has been made yet"}; events are kept and commands of the cloud wait`;
    alerts.push({ code: "cloud_disconnected", severity: "warning", title: "No connection to the cloud", text });
  }
  return alerts;
}
