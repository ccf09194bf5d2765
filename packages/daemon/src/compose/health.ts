import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { version } from "@hl/protocol/version.ts";
import type { Agents } from "../claude/agents.ts";
import type { Commands } from "../commands/commands.ts";
import type { Events } from "../events/events.ts";
import { Certificates } from "../health/certificates.ts";
import type { ErrorRate } from "../health/error-rate.ts";
import { logBytes } from "../health/log-files.ts";
import type { Condition } from "../health/alert-book.ts";
import { HealthMonitor, type Health, type MonitorOptions } from "../health/monitor.ts";
import { SpareMemory } from "../health/spare-memory.ts";
import type { HostFacts } from "../host-facts.ts";
import type { Database } from "../store/database.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { EventSpool } from "../store/event-spool.ts";
import { agentConditions, isAgentFailing } from "./agent-health.ts";
import { cloudConditions, overridesConditions, runnerConditions, sandboxConditions } from "./conditions.ts";
import type { Enforceable } from "./enforceable.ts";
import { logConditions, type LogTrouble } from "./log-health.ts";
import { inodeConditions, inodesOf, storeConditions } from "./store-health.ts";
import type { ComposedCloud } from "./cloud.ts";
import { logBytesMax, ownLogs, type ComposedHealing } from "./healing.ts";
import type { ComposedRunner } from "./runner.ts";
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
  readonly healing: ComposedHealing;
  readonly errorRate: ErrorRate;
  readonly runner: Pick<ComposedRunner, "trouble" | "look">;
  /** Undefined where no cloud is configured. */
  readonly cloud: () => ComposedCloud | undefined;
  readonly stopping: AbortSignal;
}

/** Joins the monitor to what it watches and to those who want to hear of it. */
export function composeHealth(ports: HealthPorts): HealthMonitor {
  const { config, live, host, clock, spool, events, commands, agents } = ports;
  const logger = ports.logger.child({ part: "health" });
  const { healing, errorRate, runner } = ports;
  const certificates = new Certificates(shownCertificates(config));
  const spareMemory = new SpareMemory({ clock });
  const limits = live.part(limitsOf);
  const memoryAlertMb = live.part(({ daemon }) => daemon.claude_integration.memory_alert_mb);
  const parts: Omit<MonitorOptions, "enabled" | "intervalMs" | "thresholds"> = {
    version,
    clock,
    cores: host.cores,
    diskPath: join(config.home, "data"),
    sources: {
      spool: () => spoolFigures(spool, events.rejected, clock.wallMs()),
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
          ...runnerConditions(runner.trouble()),
          ...sandboxConditions(config, ports.enforceable),
          ...cloudConditions(ports.cloud(), clock.now(), limits().clockSkewMs),
          ...certificates.conditions(clock.wallMs(), limits().certificateDays),
          ...healing.conditions,
        ]) as Condition[],
      measures: () => [
        { code: "error_rate_high", value: errorRate.take(), limit: limits().errorRate },
        { code: "logs_large", value: logBytes(ownLogs(config)) / 2 ** 20, limit: limits().logBytes / 2 ** 20 },
      ],
    },
    onChange: (health) => {
      logger.info({ status: health.status, alerts: health.alerts }, "health has changed");
      const severity = health.status === "healthy" ? "info" : "warning";
      events.emit("health_check", { status: health.status, alerts: health.alerts }, severity);
      void ports.cloud()?.sendStatus(health, ports.stopping);
    },
    onAlert: (change) => {
      const { change: state, alert } = change;
      logger.info({ state, ...alert }, "an alert has changed");
      events.emit("health_alert", { state, ...alert }, state === "cleared" ? "info" : alert.severity);
      healing.alertChanged(change);
    },
    onSample: (metrics) => {
      healing.round();
      void runner.look();
      const running = agents.list().filter(({ status }) => status !== "ended").length;
      logger.debug({ ...metrics, agents_running: running }, "checked");
      events.emit("system_metric", { ...metrics, agents: { running, ...agents.usage() } });
      void ports.database.checkSpace();
      spareMemory.round();
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
      loopDelayMs: health.alerts.loop_delay_threshold_ms,
    },
  });
  const monitor = new HealthMonitor(live.options(parts, settings));
  live.follow(settings, () => monitor.settingsChanged());
  return monitor;
}

function spoolFigures(spool: EventSpool, rejected: number, wallMs: number): Health["spool"] {
  const age = (oldestMs: number | undefined): number =>
    oldestMs === undefined ? 0 : Math.max(0, wallMs - oldestMs) / 1000;
  const lanes = spool.lanes();
  const { depth, bytes, oldestMs, deadLetters } = spool.figures(lanes);
  const { gaps } = spool;
  return {
    ...{ depth, bytes, oldest_age: age(oldestMs), rejected, gaps, dead_letters: deadLetters },
    lanes: lanes.map(({ lane, events, bytes: size, oldestMs: since }) => ({
      ...{ lane, depth: events, bytes: size, oldest_age: age(since) },
    })),
  };
}

type MonitorSettings = Pick<MonitorOptions, "intervalMs" | "thresholds"> & { readonly enabled: boolean };

interface Limits {
  readonly errorRate: number;
  readonly clockSkewMs: number;
  readonly certificateDays: number;
  readonly logBytes: number;
}

function limitsOf(config: Config): Limits {
  const { alerts } = config.daemon.health_monitoring;
  return {
    errorRate: alerts.error_rate_threshold,
    clockSkewMs: alerts.clock_skew_threshold_seconds * 1000,
    certificateDays: alerts.certificate_threshold_days,
    logBytes: logBytesMax(config),
  };
}

/** Those that the daemon shows: to who comes over HTTPS, and to the cloud. */
function shownCertificates({ daemon: { local_api: local, cloud_api: cloud } }: Config): string[] {
  return [local.tls_certificate, cloud.auth.cert_file].filter((file) => file !== undefined);
}

/** `GET /health` answers everybody on this machine, so it says how the daemon is and not what it does. */
export function publicHealth(health: Health): { status: string } & Record<string, unknown> {
  const { status, timestamp, uptime, version: daemonVersion, service_status, alerts } = health;
  const shown = alerts.map(({ code, severity, title }) => ({ code, severity, title }));
  return { status, timestamp, uptime, version: daemonVersion, service_status, alerts: shown };
}
