/** What commands, agents and their keepers take of the configuration: each names the keys that it depends on, in the units of its part. */
import type { Config } from "@hl/config/load.ts";
import type { RetentionLimits } from "../commands/retention.ts";
import type { EventsOptions } from "../events/events.ts";
import type { SpoolRoomOptions } from "../events/spool-room.ts";
import type { RestartSettings } from "../claude/restart-policy.ts";
import type { WatchSettings } from "../claude/agent-watch.ts";

interface CommandSettings {
  readonly processesMax: number;
  readonly stopGraceMs: number;
}

export function commandSettings({ daemon: { process_management: processes } }: Config): CommandSettings {
  return { processesMax: processes.max_processes, stopGraceMs: processes.stop_grace_seconds * 1000 };
}

export function retentionLimits({ daemon: { process_management: processes } }: Config): RetentionLimits {
  return {
    ageMs: processes.finished_retention_seconds * 1000,
    logBytes: processes.finished_retention_bytes,
    commands: processes.finished_retention_commands,
  };
}

export function prunerSettings({ daemon }: Config): { readonly intervalMs: number } {
  return { intervalMs: daemon.process_management.cleanup_interval * 1000 };
}

export function workspaceSettings({ daemon }: Config): { readonly idleMs: number } {
  return { idleMs: daemon.process_management.workspace_idle_seconds * 1000 };
}

type Claude = Config["daemon"]["claude_integration"];

interface AgentSettings {
  readonly enabled: boolean;
  readonly binaryPath: string;
  readonly configPath: string;
  readonly protocol: Claude["protocol"];
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly startTimeoutMs: number;
  readonly agentsMax: number;
  readonly turnsWaitingMax: number;
  readonly lineBytesMax: number;
  readonly readBytesMax: number;
  readonly messageEnd: Claude["communication"]["message_delimiter"];
  readonly logBytesMax: number;
}

export function agentSettings({
  daemon: { claude_integration: claude, process_management: processes },
}: Config): AgentSettings {
  return {
    enabled: claude.enabled,
    binaryPath: claude.binary_path,
    configPath: claude.config_path,
    protocol: claude.protocol,
    args: claude.args,
    environment: claude.environment,
    startTimeoutMs: claude.start_timeout_seconds * 1000,
    agentsMax: claude.max_agents,
    turnsWaitingMax: claude.communication.max_queued_messages,
    lineBytesMax: claude.communication.max_message_bytes,
    readBytesMax: claude.communication.buffer_size,
    messageEnd: claude.communication.message_delimiter,
    logBytesMax: processes.log_bytes_max,
  };
}

export function watchSettings({ daemon: { claude_integration: claude } }: Config): WatchSettings {
  return {
    intervalMs: claude.health_check_interval * 1000,
    pingMsMax: claude.ping_timeout_seconds * 1000,
    memoryAlertBytes: claude.memory_alert_mb * 2 ** 20,
  };
}

export function restartSettings({
  daemon: { claude_integration: claude, health_monitoring: health },
}: Config): RestartSettings {
  return {
    enabled: claude.restart_on_failure && health.self_healing.enabled,
    attemptsMax: claude.max_restart_attempts,
    delayMs: claude.restart_delay * 1000,
  };
}

type Approvals = Pick<Claude["approvals"], "timeout_seconds" | "default" | "rules">;

export function approvalSettings({ daemon }: Config): Approvals {
  const { timeout_seconds, default: byDefault, rules } = daemon.claude_integration.approvals;
  return { timeout_seconds, default: byDefault, rules };
}

export function relaySettings({ daemon }: Config): { readonly relayTimeoutMs: number } {
  return { relayTimeoutMs: daemon.claude_integration.stdio_timeout * 1000 };
}

export function replySettings({ daemon }: Config): { readonly replyBytesMax: number } {
  return { replyBytesMax: daemon.process_management.max_reply_bytes };
}

/** Of the answers to commands of the cloud. */
export function answerSettings({ daemon }: Config): { readonly days: number; readonly answersMax: number } {
  const { answers_kept_days: days, answers_kept_max: answersMax } = daemon.cloud_api.connection;
  return { days, answersMax };
}

/** What the spool takes. */
export function eventSettings({
  daemon: { event_streaming: events },
}: Config): Pick<EventsOptions, "queueEventsMax" | "queueBytesMax" | "eventBytesMax" | "emittedTypes"> {
  return {
    queueEventsMax: events.max_queue_size,
    queueBytesMax: events.max_queue_bytes,
    eventBytesMax: events.max_event_bytes,
    emittedTypes: events.event_types,
  };
}

export function roomSettings({
  daemon: { event_streaming: events },
}: Config): Pick<SpoolRoomOptions, "eventsMax" | "bytesMax"> {
  return { eventsMax: events.max_queue_size, bytesMax: events.max_queue_bytes };
}

/** Folders whose changes are told. */
export function reportedPaths({ daemon: { event_streaming: events } }: Config): readonly string[] {
  const { event_types: types, file_change_paths: paths } = events;
  return types.includes("file_change") ? paths : [];
}
