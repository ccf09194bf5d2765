import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import { maskSecrets } from "@hl/config/mask.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { defaultTransportLimits, type TransportLimits } from "@hl/core/rpc/transport.ts";
import type { Service } from "@hl/core/service.ts";
import { approvalHandlers } from "../approvals/handlers.ts";
import { claudeHandlers } from "../claude/handlers.ts";
import type { Agents } from "../claude/agents.ts";
import type { Commands } from "../commands/commands.ts";
import { commandHandlers } from "../commands/handlers.ts";
import { Events } from "../events/events.ts";
import { eventHandlers } from "../events/handlers.ts";
import { SpoolRoom } from "../events/spool-room.ts";
import { makeHomeFolders, readHostFacts } from "../host-facts.ts";
import { ProcessSecrets } from "../redaction/process-secrets.ts";
import { AgentRecords } from "../store/agent-records.ts";
import { CommandRecords } from "../store/command-records.ts";
import { Database } from "../store/database.ts";
import { EventSpool } from "../store/event-spool.ts";
import { lockHome } from "../store/home-lock.ts";
import { Inbox } from "../store/inbox.ts";
import { systemHandlers } from "../system/handlers.ts";
import { transcriptHandlers } from "../transcripts/handlers.ts";
import { systemInfoOf } from "../system/system-info.ts";
import { ChangeReporter } from "../workspace/change-reporter.ts";
import { fileHandlers } from "../workspace/handlers.ts";
import { composeApprovals } from "./approvals.ts";
import { composeLocalApi, composeSessions } from "./api.ts";
import { composeCloud, type ComposedCloud } from "./cloud.ts";
import { auditor } from "./audit.ts";
import { composeAuditLog, type WritingPorts } from "./audit-log.ts";
import { composeEgress } from "./egress.ts";
import { enforceableOf } from "./enforceable.ts";
import { composeHealth } from "./health.ts";
import { composeKeyProxy } from "./key-proxy.ts";
import { holdLocalToken } from "./secrets.ts";
import { diskFullText } from "./store-health.ts";
import { composeProcesses } from "./processes.ts";
import { LiveConfig, type Reloaded } from "./live-config.ts";
import { composeRunner, runnerPathsOf } from "./runner.ts";
import { composeTranscripts } from "./transcripts.ts";

/** What the daemon takes from outside; tests pass their own. */
export interface Ports extends WritingPorts {
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly runnerBinary: string;
  readonly enrollmentToken: string | undefined;
  /** Show stack traces in errors. */
  readonly testMode: boolean;
}

export interface Daemon {
  readonly socketPath: string;
  /** `127.0.0.1:PORT`, or undefined where HTTP is off. */
  readonly httpAddress: () => string | undefined;
  /** Starts every service in order; usable when it resolves. */
  start(): Promise<void>;
  /** Refuses new work, lets what runs end or go on under its shim, ships what it can, and releases everything. */
  stop(): Promise<void>;
  /** Takes over what a running daemon can of a newer configuration. */
  readonly reload: (next: Config) => Reloaded;
  readonly dumpState: () => object;
}

const dayMs = 86_400_000;
/** The last attempt to ship events at a stop; what stays is durable and goes out after the next start. */
const lastFlushMs = 2_000;

/** The composition root, in start order. Everything that is built here is released by `stop`, in reverse. */
export async function compose(config: Config, ports: Ports): Promise<Daemon> {
  const { clock, random, logger, testMode, secrets, redactor } = ports;
  const { home, daemon: settings, security } = config;
  await using building = new AsyncDisposableStack();

  // Foundation: what is durable, and what holds processes.
  makeHomeFolders(home, settings.security.file_access.allowed_paths[0]);
  building.use(lockHome(home, join(home, "data/state/daemon.lock")));
  const host = readHostFacts(home, settings.daemon.instance_id);
  const { ballast_bytes: ballastBytes } = settings.event_streaming;
  const database = building.use(new Database(join(home, "data/state/daemon.db"), clock, logger, ballastBytes));
  const wallMs = (): number => clock.wallMs();
  const spool = new EventSpool(database, wallMs);
  const records = new CommandRecords(database);
  const agentRecords = new AgentRecords(database);
  database.makeRoomWith(() => spool.deleteDelivered());
  database.onReplaced((rescued) => {
    spool.reload(rescued);
    records.reload();
  });
  const inbox = new Inbox(database, wallMs);
  let noteError: (text: string) => void = () => {}; // Until there is a monitor, the log has it.
  const failure =
    (what: string) =>
    (error: unknown): void => {
      logger.error({ error: errorText(error) }, what);
      noteError(`${what}: ${errorText(error)}`);
    };
  let checkHealth: () => void = () => {}; // Until there is a monitor.
  const onResidentLost = failure("hl-runner has ended; it is started again");
  const composedRunner = building.use(await composeRunner({ ...ports, config, user: host.user, onResidentLost }));
  const { runner, ownsResident } = composedRunner;
  const probe = await runner.probe();

  // Features.
  const live = new LiveConfig(config);
  holdLocalToken(secrets, config);
  const { max_queue_size: queueEventsMax, max_queue_bytes: queueBytesMax } = settings.event_streaming;
  const onStoreError = failure("an event could not be stored");
  const events = new Events({
    spool,
    clock,
    queueEventsMax,
    queueBytesMax,
    eventBytesMax: settings.event_streaming.max_event_bytes,
    emittedTypes: settings.event_streaming.event_types,
    onStoreError,
    redaction: redactor,
    noSpace: () => (database.trouble?.kind === "disk_full" ? diskFullText(database.trouble) : undefined),
  });
  building.use(events);
  const { auditLog, troubles: logs } = building.use(composeAuditLog(config, ports));
  const audit = building.use(auditor({ events, logger, clock, auditLog }));
  const { proxySocketPath: proxySocket } = runnerPathsOf(config, host.user);
  const enforceable = enforceableOf(settings.security.sandbox, probe, proxySocket);
  const egress = composeEgress({ config, clock, socketPath: proxySocket, audit });
  if (egress !== undefined) building.use(egress);
  const keyProxy = building.use(composeKeyProxy(config, logger));
  const { approvals, judge } = composeApprovals({
    ...{ settings: () => live.approvals, clock, logger, database, events, audit },
  });
  building.use(approvals);
  const composedTranscripts = composeTranscripts({ config, clock, database, events, redactor, onStoreError });
  const { transcripts } = composedTranscripts;
  let cloud: ComposedCloud | undefined;
  const spoolRoom = new SpoolRoom({ spool, eventsMax: queueEventsMax, bytesMax: queueBytesMax, onError: onStoreError });
  const tidy = async (): Promise<void> => {
    const { answers_kept_days: days, answers_kept_max: answersMax } = settings.cloud_api.connection;
    await inbox.prune(clock.wallMs() - days * dayMs, answersMax);
    await approvals.prune();
    if (cloud === undefined) await spoolRoom.make();
  };
  const onPruneError = failure("old results could not be removed");
  const processPorts = {
    ...ports,
    config,
    host,
    runner,
    records,
    agentRecords,
    events,
    enforceable,
    secrets: new ProcessSecrets(secrets, logger),
    keys: keyProxy,
    judge,
    transcripts: composedTranscripts,
    onAgentEnded: (processId: string) => approvals.processEnded(processId),
    onAgentSupervised: () => checkHealth(),
    tidy,
    onPruneError,
  };
  const { commands, pruner, agents, workspace } = composeProcesses(processPorts);
  const stopping = new AbortController();
  const health = { ...ports, config, host, database, spool, events, commands, agents, enforceable, logs };
  const monitor = composeHealth({ ...health, cloud: () => cloud, stopping: stopping.signal });
  noteError = (text) => monitor.noteError(redactor.redactText(text));

  // The interface, the same for every way in.
  const info = (): ReturnType<typeof systemInfoOf> =>
    systemInfoOf({
      config,
      host,
      probe,
      sandboxProblem: enforceable.problem ?? enforceable.network.problem,
      epoch: spool.epoch,
      uptimeMs: monitor.uptimeSeconds * 1000,
      wallMs: clock.wallMs(),
      diskPath: home,
    });
  const handlers = {
    ...systemHandlers({ info, health: (detailed) => monitor.read(detailed), config: () => shownConfig(live.inForce) }),
    ...commandHandlers({
      commands,
      clock,
      replyBytesMax: settings.process_management.max_reply_bytes,
      onDecision: audit.command,
    }),
    ...eventHandlers(events),
    ...fileHandlers(workspace),
    ...approvalHandlers(approvals),
    ...transcriptHandlers({ transcripts, statusOf: (processId) => agents.get(processId).facts.state }),
    ...claudeHandlers({
      agents,
      clock,
      relayTimeoutMs: settings.claude_integration.stdio_timeout * 1000,
      approvalsOpen: (processId) => approvals.pendingCount(processId),
      transcriptOf: (processId) => transcripts.of(processId),
    }),
  };
  const limits: TransportLimits = {
    ...defaultTransportLimits,
    messageBytesMax: security.input_validation.max_request_size,
    pauseReadsWhenFull: true,
  };
  const apiPorts = { config, clock, logger, monitor, noteError, audit, redactor, testMode, handlers };
  const session = composeSessions(apiPorts);
  const { socket, http } = composeLocalApi(apiPorts, session, limits);
  building.use(socket);
  if (http !== undefined) building.use(http);
  const { base_url: baseUrl } = settings.cloud_api;
  if (baseUrl !== undefined) {
    const caller = { role: security.authorization.default_role, subject: "cloud", via: "cloud" } as const;
    cloud = building.use(
      composeCloud({
        config,
        baseUrl,
        enrollmentToken: ports.enrollmentToken,
        host,
        clock,
        random,
        logger,
        spool,
        inbox,
        limits: { ...limits, pauseReadsWhenFull: false },
        handler: session.open("cloud", caller).handler,
        refusals: session.refusals,
        capabilities: info().capabilities,
        onToken: (name, token) => secrets.holdOwn(name, { [name]: token }),
        diskFreeMb: () => info().system.disk_space,
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
  const paths = events.emits("file_change") ? settings.event_streaming.file_change_paths : [];
  const reporter = { workspace, paths, clock, random, logger };
  const changes = building.use(new ChangeReporter({ ...reporter, emit: (data) => events.emit("file_change", data) }));

  const owned = building.move();
  // The proxy first: what outlived the last daemon asks for it.
  const services: Service[] = [egress, socket, http, monitor, cloud?.link, pruner, changes].filter(
    (service) => service !== undefined,
  );
  return {
    socketPath: settings.local_api.socket_path,
    httpAddress: () => http?.address,
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
        service.done.catch(failure(`${service.name} ended unexpectedly`));
      }
    },
    async stop() {
      await Promise.all([commands.drain(ownsResident), agents.drain(ownsResident), workspace.drain()]);
      await cloud?.uplink.flush(AbortSignal.timeout(lastFlushMs)).catch(() => {});
      stopping.abort();
      await owned.disposeAsync();
    },
    reload: (next) => live.take(next),
    dumpState: () => ({ health: monitor.read(true), running: commands.runningIds(), agents: agents.list() }),
  };
}

/** An operator has revoked this VM: what runs here ends (P1). Nothing new comes, because there is no command channel. */
async function stopWork(commands: Commands, agents: Agents): Promise<void> {
  const running = commands.runningIds().map(async (id) => commands.cancel(await commands.get(id), undefined));
  await Promise.allSettled([...running, agents.stopAll()]);
}

function shownConfig(config: Config): { config: Record<string, unknown>; sources: Record<string, string> } {
  const masked = maskSecrets(config);
  const sources: Record<string, string> = {};
  for (const [pointer, source] of Object.entries(config.sources.daemon)) {
    if (source.kind !== "default") sources[pointer] = "file" in source ? source.file : JSON.stringify(source);
  }
  return { config: { ...masked.daemon, security_file: masked.security }, sources };
}
