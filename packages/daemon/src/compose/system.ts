import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import type { Agents } from "../claude/agents.ts";
import type { Commands } from "../commands/commands.ts";
import type { Events } from "../events/events.ts";
import type { HealthMonitor } from "../health/monitor.ts";
import type { HostFacts } from "../host-facts.ts";
import type { RunnerProbe } from "../runner/probe.ts";
import type { EventSpool } from "../store/event-spool.ts";
import { systemHandlers } from "../system/handlers.ts";
import { restartHandler } from "../system/restart.ts";
import { systemInfoOf } from "../system/system-info.ts";
import type { Enforceable } from "./enforceable.ts";
import type { ComposedHealing } from "./healing.ts";
import type { LiveConfig } from "./live-config.ts";

export interface SystemPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly host: HostFacts;
  readonly probe: RunnerProbe;
  readonly enforceable: Enforceable;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly spool: Pick<EventSpool, "epoch">;
  readonly events: Pick<Events, "emit">;
  readonly commands: Pick<Commands, "running">;
  readonly agents: Pick<Agents, "live">;
  readonly monitor: HealthMonitor;
  readonly healing: ComposedHealing;
  /** Has the process end and be started again; undefined where nobody would start it. */
  readonly restart: (() => void) | undefined;
  readonly isStopping: () => boolean;
}

type Info = ReturnType<typeof systemInfoOf>;

/** What this daemon is and how it is, and what is done to it as a whole. */
export function composeSystem(ports: SystemPorts): {
  readonly info: () => Info;
  readonly handlers: ReturnType<typeof systemHandlers>;
} {
  const { config, live, host, probe, enforceable, clock, logger, spool, events, monitor, healing } = ports;
  const hasAgents = live.part(({ daemon }) => daemon.claude_integration.enabled);
  const info = (): Info =>
    systemInfoOf({
      ...{ config, host, probe, diskPath: config.home },
      hasAgents: hasAgents(),
      sandboxProblem: enforceable.problem ?? enforceable.network.problem,
      epoch: spool.epoch,
      uptimeMs: monitor.uptimeSeconds * 1000,
      wallMs: clock.wallMs(),
    });
  const restart = restartHandler({
    clock,
    restart: ports.restart,
    isStopping: ports.isStopping,
    describe: () => ({
      pid: process.pid,
      started_at: info().started_at,
      commands_running: ports.commands.running,
      agents_running: ports.agents.live().length,
    }),
    onAsked: ({ subject, role, via }, { commands_running, agents_running }) => {
      const facts = { subject, role, via, commands_running, agents_running };
      logger.warn(facts, "a restart was asked for; what runs goes on under its shims");
      events.emit("daemon.restarting", facts, "warning");
    },
  });
  const resetHealing = (): string[] => {
    const parts = healing.reset();
    monitor.check();
    return parts;
  };
  const health = (detailed: boolean): ReturnType<HealthMonitor["read"]> => monitor.read(detailed);
  return { info, handlers: systemHandlers({ info, health, resetHealing, restart }) };
}
