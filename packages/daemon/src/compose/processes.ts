import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { Agents, type AgentsOptions } from "../claude/agents.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { SupervisionEvent } from "../claude/supervision-event.ts";
import type { KeyKeeper } from "../claude/agent-launcher.ts";
import type { ToolJudge } from "../claude/tool-judge.ts";
import { Commands, type CommandsOptions } from "../commands/commands.ts";
import { Planner } from "../commands/plan.ts";
import { Pruner, type PrunerOptions } from "../commands/pruner.ts";
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
import {
  agentSettings,
  commandSettings,
  prunerSettings,
  restartSettings,
  retentionLimits,
  watchSettings,
  workspaceSettings,
} from "./live-settings.ts";
import type { LiveConfig } from "./live-config.ts";
import { planSettings } from "./plan-settings.ts";
import { processEventReporter } from "./process-events.ts";
import type { ComposedTranscripts } from "./transcripts.ts";

export interface ProcessPorts {
  readonly live: LiveConfig;
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
  readonly onAgentSupervised: (agent: AgentFacts, event: SupervisionEvent) => void;
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
  const { live, host, clock, random, logger, runner, records, events, enforceable, secrets } = ports;
  const report = processEventReporter(events);
  const settings = live.options({}, (config) => planSettings(config, host, enforceable));
  const planner = new Planner(settings);
  runner.prepareWith(() => planner.preparation());
  const assertRoom = (): void => events.assertRoomForStarts();
  const commandParts: Omit<CommandsOptions, keyof ReturnType<typeof commandSettings>> = {
    runner,
    records,
    planner,
    clock,
    logger: logger.child({ part: "commands" }),
    bootId: host.bootId,
    assertRoom,
    secrets,
    redact: (args) => ports.redactor.redact(args) as readonly string[],
    onStart: report.commandStarted,
    onEnd: report.commandEnded,
    random,
    onStored: () => retention.isFarOver && pruner.poke(),
  };
  const commands: Commands = new Commands(live.options(commandParts, commandSettings));
  const retention = new Retention({
    records,
    limits: live.options({}, retentionLimits),
    wallMs: () => clock.wallMs(),
    logger,
    isHeld: (commandId) => commands.isHeld(commandId),
    remove: async (runId, signal) => {
      await runner.remove(runId, signal);
      planner.cleanUp(runId); // Gone already, unless a daemon crashed behind the end of it.
    },
  });
  const pruning: Omit<PrunerOptions, "intervalMs"> = {
    retention,
    clock,
    tidy: ports.tidy,
    onError: ports.onPruneError,
  };
  const pruner = new Pruner(live.options(pruning, prunerSettings));
  for (const settingsOf of [retentionLimits, prunerSettings]) live.follow<object>(settingsOf, () => pruner.poke());
  const agentLog = logger.child({ part: "claude" });
  const agentParts: Omit<AgentsOptions, keyof ReturnType<typeof agentSettings>> = {
    runner,
    records: ports.agentRecords,
    host: planner,
    clock,
    logger: agentLog,
    assertRoom,
    secrets,
    keys: ports.keys,
    openFilesMax: agentOpenFilesMax,
    onEvent: (agent, event, place) => {
      if (event.type !== "agent.delta") {
        const said = { process_id: agent.processId, type: event.type, relay_id: event.relayId, past: place.past };
        agentLog.debug(said, event.type === "agent.turn_started" ? "to the agent" : "from the agent");
      }
      ports.transcripts.onAgentEvent(agent, event, place);
    },
    pace: ports.transcripts.pace,
    onStart: report.agentStarted,
    onSupervision: (agent, event) => {
      report.agentSupervised(agent, event);
      // Its last process has ended before.
      const isGivenUp = event.type === "agent.restart_cancelled" || event.type === "agent.restart_failed";
      if (isGivenUp && agent.state === "ended") ports.transcripts.onAgentEnd(agent, false);
      ports.onAgentSupervised(agent, event);
    },
    watch: live.options({}, watchSettings),
    restart: live.options({}, restartSettings),
    judge: ports.judge,
    onEnd: (agent) => {
      report.agentEnded(agent);
      ports.transcripts.onAgentEnd(agent);
      ports.onAgentEnded(agent.processId);
    },
    onForget: (processId) => ports.transcripts.transcripts.forget(processId),
  };
  const agents = new Agents(live.options(agentParts, agentSettings));
  const workspaceParts = {
    ...findWorkspaceProgram(),
    runner,
    host: planner,
    clock,
    random,
    logger: logger.child({ part: "workspace" }),
    workspace: settings.workspace,
    ...settings.paths,
  };
  const workspace = new Workspace(live.options(workspaceParts, workspaceSettings));
  return { commands, pruner, agents, workspace };
}
