import { join } from "node:path";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { defaultTransportLimits, type TransportLimits } from "@hl/core/rpc/transport.ts";
import type { Service } from "@hl/core/service.ts";
import { approvalHandlers } from "../approvals/handlers.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { SupervisionEvent } from "../claude/supervision-event.ts";
import { claudeHandlers } from "../claude/handlers.ts";
import { commandHandlers } from "../commands/handlers.ts";
import type { FoundConfiguration } from "../configuration/configuration.ts";
import { Events, type EventsOptions } from "../events/events.ts";
import { eventHandlers } from "../events/handlers.ts";
import { SpoolRoom } from "../events/spool-room.ts";
import { MethodDurations } from "../health/method-durations.ts";
import { makeHomeFolders, readHostFacts } from "../host-facts.ts";
import { ErrorRate } from "../health/error-rate.ts";
import type { Progress } from "../health/progress.ts";
import { logHandlers, noLogs } from "../logging/handlers.ts";
import type { LogLevels } from "../logging/log-levels.ts";
import type { ProxySettings } from "../network/proxy-settings.ts";
import { ProcessSecrets } from "../redaction/process-secrets.ts";
import { lockHome } from "../store/home-lock.ts";
import { transcriptHandlers } from "../transcripts/handlers.ts";
import { ChangeReporter } from "../workspace/change-reporter.ts";
import { fileHandlers } from "../workspace/handlers.ts";
import { composeApprovals } from "./approvals.ts";
import { composeLocalApi, composeSessions } from "./api.ts";
import { composeCloud, type ComposedCloud } from "./cloud.ts";
import { auditor } from "./audit.ts";
import { composeAuditLog, type WritingPorts } from "./audit-log.ts";
import { composeEgress } from "./egress.ts";
import { enforceableOf } from "./enforceable.ts";
import { agentHealed, ComposedHealing, runnerHealed } from "./healing.ts";
import { composeHealth } from "./health.ts";
import { composeOutbound } from "./outbound.ts";
import { composeKeyProxy } from "./key-proxy.ts";
import { holdLocalToken, holdTaken } from "./secrets.ts";
import { composeProgress } from "./progress.ts";
import { composeStore } from "./store.ts";
import { diskFullText } from "./store-health.ts";
import { composeProcesses } from "./processes.ts";
import { composeConfiguration, type ComposedConfiguration } from "./configuration.ts";
import { LiveConfig } from "./live-config.ts";
import {
  answerSettings,
  approvalSettings,
  eventSettings,
  relaySettings,
  replySettings,
  reportedPaths,
  roomSettings,
} from "./live-settings.ts";
import { composeRunner, runnerPathsOf } from "./runner.ts";
import { stopWork } from "./stop-work.ts";
import { composeSystem } from "./system.ts";
import { composeTranscripts } from "./transcripts.ts";

/** What the daemon takes from outside; tests pass their own. */
export interface Ports extends WritingPorts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly setLogLevels: (levels: LogLevels) => void;
  readonly runnerBinary: string;
  readonly enrollmentToken: string | undefined;
  /** For the daemon's own connections; nothing that it starts gets it. */
  readonly proxy: ProxySettings | undefined;
  /** Has the process end and be started again; undefined where nobody would start it. */
  readonly restart: (() => void) | undefined;
  /** Show stack traces in errors. */
  readonly testMode: boolean;
}

export interface Daemon {
  readonly socketPath: string;
  /** `127.0.0.1:PORT` and whether it speaks TLS, or undefined where HTTP is off. */
  readonly http: { readonly address: string; readonly isTls: boolean } | undefined;
  /** Starts every service in order; usable when it resolves. */
  start(): Promise<void>;
  /**
   * Refuses new work, lets what runs end or go on under its shim, ships what it can, and releases everything.
   * @param isRestart what runs goes on, also where hl-runner ends with this daemon (P3)
   */
  stop(isRestart: boolean): Promise<void>;
  /** Reads the configuration again and takes over what a running daemon can. */
  readonly reload: ComposedConfiguration["reload"];
  readonly dumpState: () => object;
  /** Whether store and services get on: what a watchdog is fed by, asked every few seconds. */
  readonly progress: Progress;
}

const dayMs = 86_400_000;
/** The last attempt to ship events at a stop; what stays is durable and goes out after the next start. */
const lastFlushMs = 2_000;

/** The composition root, in start order. Everything that is built here is released by `stop`, in reverse. */
export async function compose(found: FoundConfiguration, ports: Ports): Promise<Daemon> {
  const { clock, random, logger, testMode, secrets, redactor } = ports;
  const { config } = found;
  const live = new LiveConfig(config, (inForce, newest) => holdTaken(secrets, inForce, newest));
  live.follow(({ daemon: { logging } }) => ({ level: logging.level, levels: logging.levels }), ports.setLogLevels);
  const { home, daemon: settings, security } = config;
  await using building = new AsyncDisposableStack();

  // Foundation: what is durable, and what holds processes.
  makeHomeFolders(home, settings.security.file_access.allowed_paths[0]);
  building.use(lockHome(home, join(home, "data/state/daemon.lock")));
  const host = readHostFacts(home, settings.daemon.instance_id);
  const { database, spool, records, agentRecords, inbox } = building.use(composeStore(config, ports));
  let noteError: (text: string) => void = () => {}; // Until there is a monitor, the log has it.
  const failure =
    (what: string) =>
    (error: unknown): void => {
      logger.error({ error: errorText(error) }, what);
      noteError(`${what}: ${errorText(error)}`);
    };
  let checkHealth: () => void = () => {}; // Until there is a monitor.

  // Features.
  holdLocalToken(secrets, config);
  const onStoreError = failure("an event could not be stored");
  const eventParts: Omit<EventsOptions, keyof ReturnType<typeof eventSettings>> = {
    spool,
    clock,
    onStoreError,
    redaction: redactor,
    noSpace: () => (database.trouble?.kind === "disk_full" ? diskFullText(database.trouble) : undefined),
  };
  const events = new Events(live.options(eventParts, eventSettings));
  building.use(events);
  const healing = new ComposedHealing({ config, live, clock, logger, events });
  // Told behind the replacement, because telling writes.
  database.onReplaced((rescued) => rescued !== undefined && setImmediate(() => healing.storeSaved()));
  const residentLost = failure("hl-runner has ended; it is started again");
  const healed = runnerHealed(healing, residentLost, () => checkHealth());
  const composedRunner = building.use(await composeRunner({ ...ports, config, user: host.user, ...healed }));
  const { runner, ownsResident } = composedRunner;
  const probe = await runner.probe();
  const { auditLog, troubles: logs } = building.use(composeAuditLog(config, ports));
  const audit = building.use(auditor({ events, logger, clock, auditLog }));
  const configuration = composeConfiguration({ found, live, audit, onChanged: () => checkHealth() });
  const { proxySocketPath: proxySocket } = runnerPathsOf(config, host.user);
  const enforceable = enforceableOf(settings.security.sandbox, probe, proxySocket);
  const egress = composeEgress({ config, clock, socketPath: proxySocket, audit });
  if (egress !== undefined) building.use(egress);
  const outbound = composeOutbound({ config, clock, logger, proxy: ports.proxy });
  const keyProxy = building.use(composeKeyProxy(live, logger, outbound));
  const approvalPorts = { clock, logger, database, events, audit };
  const { approvals, judge } = composeApprovals({ ...approvalPorts, settings: live.part(approvalSettings) });
  building.use(approvals);
  const composedTranscripts = composeTranscripts({ live, clock, database, events, redactor, onStoreError });
  const { transcripts } = composedTranscripts;
  let cloud: ComposedCloud | undefined;
  const spoolRoom = new SpoolRoom(live.options({ spool, onError: onStoreError }, roomSettings));
  const answersKept = live.part(answerSettings);
  const tidy = async (): Promise<void> => {
    const { days, answersMax } = answersKept();
    await inbox.prune(clock.wallMs() - days * dayMs, answersMax);
    await approvals.prune();
    if (cloud === undefined) await spoolRoom.make();
  };
  const onPruneError = failure("old results could not be removed");
  const processPorts = {
    ...ports,
    ...{ live, host, runner, records, agentRecords, events, enforceable },
    secrets: new ProcessSecrets(secrets, logger),
    keys: keyProxy,
    judge,
    transcripts: composedTranscripts,
    onAgentEnded: (processId: string) => approvals.processEnded(processId),
    onAgentSupervised: (agent: AgentFacts, event: SupervisionEvent) => {
      agentHealed(healing, agent, event);
      checkHealth();
    },
    tidy,
    onPruneError,
  };
  const { commands, pruner, agents, workspace } = composeProcesses(processPorts);
  healing.relieveDiskWith((share) => pruner.relieve(share));
  const errorRate = new ErrorRate();
  const stopping = new AbortController();
  const health = {
    ...{ ...ports, config, live, host, database, spool, events, commands, agents, enforceable, logs },
    ...{ healing, errorRate, runner: composedRunner },
    rejectedOverrides: configuration.rejected,
  };
  const monitor = composeHealth({ ...health, cloud: () => cloud, stopping: stopping.signal });
  noteError = (text) => monitor.noteError(redactor.redactText(text));

  // The interface, the same for every way in.
  const described = { config, live, host, probe, enforceable, clock, logger, spool, events, commands, agents };
  let isStopping = false;
  const ending = { restart: ports.restart, isStopping: () => isStopping };
  const system = composeSystem({ ...described, ...ending, monitor, healing });
  const relaying = {
    approvalsOpen: (processId: string) => approvals.pendingCount(processId),
    transcriptOf: (processId: string) => transcripts.of(processId),
  };
  const handlers = {
    ...system.handlers,
    ...configuration.handlers,
    ...commandHandlers(live.options({ commands, clock, onDecision: audit.command }, replySettings)),
    ...eventHandlers(events),
    ...logHandlers({ ...noLogs, ...ports.logFiles, audit: auditLog?.file }),
    ...fileHandlers(workspace),
    ...approvalHandlers(approvals),
    ...transcriptHandlers({ transcripts, statusOf: (processId) => agents.get(processId).facts.state }),
    ...claudeHandlers(live.options({ ...relaying, agents, clock }, relaySettings)),
  };
  const limits: TransportLimits = {
    ...defaultTransportLimits,
    messageBytesMax: security.input_validation.max_request_size,
    pauseReadsWhenFull: true,
  };
  const apiPorts = {
    ...{ config, live, clock, logger, monitor, noteError, errorRate, audit, redactor, testMode, handlers, outbound },
    ...{ building, durations: new MethodDurations() },
  };
  const session = composeSessions(apiPorts);
  const { socket, http } = composeLocalApi(apiPorts, session, limits);
  const { base_url: baseUrl } = settings.cloud_api;
  if (baseUrl !== undefined) {
    const caller = { role: security.authorization.default_role, subject: "cloud", via: "cloud" } as const;
    cloud = building.use(
      composeCloud({
        ...{ config, live, baseUrl, outbound, host, clock, random, logger, spool, inbox },
        enrollmentToken: ports.enrollmentToken,
        limits: { ...limits, pauseReadsWhenFull: false },
        handler: session.open({ via: "cloud", from: "cloud" }, caller).handler,
        refusals: session.refusals,
        capabilities: () => system.info().capabilities,
        onToken: (name, token) => secrets.holdOwn(name, { [name]: token }),
        diskFreeMb: () => system.info().system.disk_space,
        httpPort: () => Number(http?.address.split(":").at(-1) ?? 0),
        health: () => monitor.read(false),
        runningCommands: () => commands.runningIds(),
        onConnection: () => monitor.check(),
        onClockJump: (forwardMs) => events.emit("error", { message: "clock_jump", forward_ms: forwardMs }, "warning"),
        onShut: (why) => {
          monitor.check();
          if (why === "instance_revoked") void stopWork(commands, agents).catch(failure("work could not be stopped"));
        },
      }),
    );
    events.onAccepted(() => cloud?.uplink.poke());
  } else events.onAccepted(() => spoolRoom.check());
  building.use(pruner);
  building.use(monitor);
  const reporter = { workspace, clock, random, logger };
  const changes = building.use(new ChangeReporter({ ...reporter, emit: (data) => events.emit("file_change", data) }));
  live.follow(reportedPaths, (paths) => changes.watchOnly(paths));

  const owned = building.move();
  // The proxy first: what outlived the last daemon asks for it.
  const services: Service[] = [egress, socket, http, monitor, cloud?.link, pruner, changes].filter(
    (service) => service !== undefined,
  );
  let isServing = true;
  return {
    socketPath: settings.local_api.socket_path,
    http,
    async start() {
      await runner.open();
      await commands.recover();
      approvals.load(agentRecords.all().filter(({ endedMs }) => endedMs === undefined));
      agents.admitAgain();
      await keyProxy?.start();
      await agents.recover();
      await workspace.recover();
      database.beginServing();
      checkHealth = () => monitor.check();
      for (const service of services) {
        await service.start();
        service.done.catch((error: unknown) => {
          isServing = false; // Nothing starts it again: a new process does.
          failure(`${service.name} ended unexpectedly`)(error);
        });
      }
    },
    async stop(isRestart) {
      isStopping = true;
      configuration.close();
      const stopsAll = ownsResident && !isRestart;
      await Promise.all([commands.drain(stopsAll), agents.drain(stopsAll), workspace.drain()]);
      await cloud?.uplink.flush(AbortSignal.timeout(lastFlushMs)).catch(() => {});
      stopping.abort();
      await owned.disposeAsync();
    },
    reload: configuration.reload,
    progress: composeProgress(clock, database, () => isServing),
    dumpState: () => ({ health: monitor.read(true), running: commands.runningIds(), agents: agents.list() }),
  };
}
