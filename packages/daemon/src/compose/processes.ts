import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { Agents } from "../claude/agents.ts";
import type { KeyKeeper } from "../claude/agent-launcher.ts";
import type { ToolJudge } from "../claude/tool-judge.ts";
import { Commands } from "../commands/commands.ts";
import { Planner } from "../commands/plan.ts";
import { Pruner } from "../commands/pruner.ts";
import { Retention } from "../commands/retention.ts";
import type { Events } from "../events/events.ts";
import { findWorkspaceProgram, type HostFacts } from "../host-facts.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { ProcessSecrets } from "../redaction/process-secrets.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecords } from "../store/agent-records.ts";
import type { CommandRecords } from "../store/command-records.ts";
import { Workspace } from "../workspace/workspace.ts";
import type { Enforceable } from "./enforceable.ts";
import { planSettings } from "./plan-settings.ts";
import { processEventReporter } from "./process-events.ts";
import type { ComposedTranscripts } from "./transcripts.ts";

export interface ProcessPorts {
  readonly config: Config;
  readonly host: HostFacts;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly runner: Runner;
  readonly records: CommandRecords;
  readonly agentRecords: AgentRecords;
  readonly events: Events;
  readonly enforceable: Enforceable;
  readonly secrets: ProcessSecrets;
  readonly redactor: Redactor;
  readonly keys: KeyKeeper | undefined;
  readonly judge: ToolJudge;
  readonly transcripts: ComposedTranscripts;
  readonly onAgentEnded: (processId: string) => void;
  /** Something of an agent has changed that its health depends on. */
  readonly onAgentSupervised: () => void;
  /** Removes what other tables no longer need, as often as old results are removed. */
  readonly tidy: () => Promise<void>;
  readonly onPruneError: (error: unknown) => void;
}

/** Open files of an agent: it watches whole repositories. */
const agentOpenFilesMax = 65_536;

/** Commands with what keeps them few, agents and hl-workspace, which share the runner and the sandbox. */
export function composeProcesses(ports: ProcessPorts): {
  readonly commands: Commands;
  readonly pruner: Pruner;
  readonly agents: Agents;
  readonly workspace: Workspace;
} {
  const { config, host, clock, random, logger, runner, records, events, enforceable, secrets } = ports;
  const { process_management: processes, claude_integration: claude } = config.daemon;
  const report = processEventReporter(events);
  const settings = planSettings(config, host, enforceable);
  const planner = new Planner(settings);
  runner.prepareWith(() => planner.preparation());
  const assertRoom = (): void => events.assertRoomForStarts();
  const commands = new Commands({
    runner,
    records,
    planner,
    clock,
    logger: logger.child({ part: "commands" }),
    bootId: host.bootId,
    processesMax: processes.max_processes,
    stopGraceMs: processes.stop_grace_seconds * 1000,
    assertRoom,
    secrets,
    redact: (args) => ports.redactor.redact(args) as readonly string[],
    onStart: report.commandStarted,
    onEnd: report.commandEnded,
    random,
    onStored: () => retention.isFarOver && pruner.poke(),
  });
  const retention = new Retention({
    records,
    limits: {
      ageMs: processes.finished_retention_seconds * 1000,
      logBytes: processes.finished_retention_bytes,
      commands: processes.finished_retention_commands,
    },
    wallMs: () => clock.wallMs(),
    logger,
    isHeld: (commandId) => commands.isHeld(commandId),
    remove: async (runId, signal) => {
      await runner.remove(runId, signal);
      planner.cleanUp(runId); // Gone already, unless a daemon crashed behind the end of it.
    },
  });
  const pruner = new Pruner({
    retention,
    clock,
    intervalMs: processes.cleanup_interval * 1000,
    tidy: ports.tidy,
    onError: ports.onPruneError,
  });
  const agents = new Agents({
    runner,
    records: ports.agentRecords,
    host: planner,
    clock,
    logger: logger.child({ part: "claude" }),
    enabled: claude.enabled,
    binaryPath: claude.binary_path,
    configPath: claude.config_path,
    protocol: claude.protocol,
    args: claude.args,
    environment: claude.environment,
    startTimeoutMs: claude.start_timeout_seconds * 1000,
    agentsMax: claude.max_agents,
    assertRoom,
    secrets,
    keys: ports.keys,
    turnsWaitingMax: claude.communication.max_queued_messages,
    lineBytesMax: claude.communication.max_message_bytes,
    openFilesMax: agentOpenFilesMax,
    logBytesMax: processes.log_bytes_max,
    onEvent: ports.transcripts.onAgentEvent,
    pace: ports.transcripts.pace,
    onStart: report.agentStarted,
    onSupervision: (agent, event) => {
      report.agentSupervised(agent, event);
      // Its last process has ended before.
      const isGivenUp = event.type === "agent.restart_cancelled" || event.type === "agent.restart_failed";
      if (isGivenUp && agent.state === "ended") ports.transcripts.onAgentEnd(agent, false);
      ports.onAgentSupervised();
    },
    watch: {
      intervalMs: claude.health_check_interval * 1000,
      pingMsMax: claude.ping_timeout_seconds * 1000,
      memoryAlertBytes: claude.memory_alert_mb * 2 ** 20,
    },
    restart: {
      enabled: claude.restart_on_failure,
      attemptsMax: claude.max_restart_attempts,
      delayMs: claude.restart_delay * 1000,
    },
    judge: ports.judge,
    onEnd: (agent) => {
      report.agentEnded(agent);
      ports.transcripts.onAgentEnd(agent);
      ports.onAgentEnded(agent.processId);
    },
    onForget: (processId) => ports.transcripts.transcripts.forget(processId),
  });
  const workspace = new Workspace({
    ...findWorkspaceProgram(),
    runner,
    host: planner,
    clock,
    random,
    logger: logger.child({ part: "workspace" }),
    workspace: settings.workspace,
    ...settings.paths,
    idleMs: processes.workspace_idle_seconds * 1000,
  });
  return { commands, pruner, agents, workspace };
}
