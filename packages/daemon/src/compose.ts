import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import { maskSecrets } from "@hl/config/mask.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { defaultTransportLimits, type TransportLimits } from "@hl/core/rpc/transport.ts";
import type { Service } from "@hl/core/service.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { version } from "@hl/protocol/version.ts";
import { HttpServer } from "./api/http-server.ts";
import { loadLocalToken, localTokenAuthenticator } from "./api/local-token.ts";
import { SessionFactory } from "./api/session.ts";
import { SocketServer } from "./api/socket-server.ts";
import { Agents } from "./claude/agents.ts";
import { Commands } from "./commands/commands.ts";
import { Planner } from "./commands/plan.ts";
import { Pruner } from "./commands/pruner.ts";
import { cloudHoldOffMs, composeCloud, type ComposedCloud } from "./compose-cloud.ts";
import { Events } from "./events/events.ts";
import { claudeHandlers } from "./handlers/claude.ts";
import { commandHandlers } from "./handlers/command.ts";
import { eventHandlers } from "./handlers/event.ts";
import { systemHandlers } from "./handlers/system.ts";
import { HealthMonitor, type Health } from "./health/monitor.ts";
import { prometheusText } from "./health/prometheus.ts";
import { systemInfoOf } from "./health/system-info.ts";
import { makeHomeFolders, readHostFacts } from "./host-facts.ts";
import { processEventReporter } from "./process-events.ts";
import { probeRunner, Resident, type RunnerProbe } from "./runner/resident.ts";
import { Runner } from "./runner/runner.ts";
import { CommandRecords } from "./store/command-records.ts";
import { Database } from "./store/database.ts";
import { EventSpool } from "./store/event-spool.ts";
import { Inbox } from "./store/inbox.ts";
import { planSettings } from "./settings.ts";

/** What the daemon takes from outside; tests pass their own. */
export interface Ports {
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
  readonly dumpState: () => object;
}

/** The composition root, in start order. Everything that is built here is released by `stop`, in reverse. */
export async function compose(config: Config, ports: Ports): Promise<Daemon> {
  const { clock, random, logger, runnerBinary } = ports;
  const { home, daemon: settings, security } = config;
  await using building = new AsyncDisposableStack();

  makeHomeFolders(home);
  const host = readHostFacts(home, settings.daemon.instance_id);
  const limits: TransportLimits = {
    ...defaultTransportLimits,
    messageBytesMax: security.input_validation.max_request_size,
    pauseReadsWhenFull: true,
  };

  // Foundation: what is durable, and what holds processes.
  const database = building.use(new Database(join(home, "data/state/daemon.db")));
  const wallMs = (): number => clock.wallMs();
  const spool = new EventSpool(database, wallMs);
  const records = new CommandRecords(database);
  const inbox = new Inbox(database, wallMs);
  const ownsRunner = settings.process_management.runner_directory === undefined;
  const runnerPaths = runnerPathsOf(config, host.user);
  const probe = await probeRunner(runnerBinary);
  if (ownsRunner) {
    mkdirSync(runnerPaths.state, { recursive: true, mode: 0o750 });
    building.use(await Resident.start(runnerBinary, runnerPaths.socket, runnerPaths.state));
  }
  const runner = building.use(
    new Runner({ socketPath: runnerPaths.socket, stateDirectory: runnerPaths.state, warmShims: 2 }),
  );

  // Features.
  const failure =
    (what: string) =>
    (error: unknown): void => {
      logger.error({ error: errorText(error) }, what);
      monitor.noteError(`${what}: ${errorText(error)}`);
    };
  const events = new Events({
    spool,
    clock,
    queueEventsMax: settings.event_streaming.max_queue_size,
    queueBytesMax: settings.event_streaming.max_queue_bytes,
    eventBytesMax: settings.event_streaming.max_event_bytes,
    emittedTypes: settings.event_streaming.event_types,
    onStoreError: failure("an event could not be stored"),
  });
  const report = processEventReporter(events);
  const sandboxProblem = sandboxProblemOf(config, probe);
  const planner = new Planner(planSettings(config, host, sandboxProblem));
  const commands = new Commands({
    runner,
    records,
    planner,
    clock,
    logger: logger.child({ part: "commands" }),
    bootId: host.bootId,
    processesMax: settings.process_management.max_processes,
    stopGraceMs: settings.process_management.stop_grace_seconds * 1000,
    onStart: report.commandStarted,
    onEnd: report.commandEnded,
  });
  const claude = settings.claude_integration;
  const agents = new Agents({
    runner,
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
    turnsWaitingMax: claude.communication.max_queued_messages,
    lineBytesMax: claude.communication.max_message_bytes,
    openFilesMax: 65_536, // Agents watch whole repositories.
    logBytesMax: settings.process_management.log_bytes_max,
    onEvent: report.agentEvent,
    onStart: report.agentStarted,
    onEnd: report.agentEnded,
  });

  let cloud: ComposedCloud | undefined;
  let http: HttpServer | undefined;
  const stopping = new AbortController();
  const { alerts } = settings.health_monitoring;
  const monitor = new HealthMonitor({
    version,
    clock,
    cores: host.cores,
    diskPath: join(home, "data"),
    intervalMs: settings.health_monitoring.check_interval * 1000,
    thresholds: {
      cpuPercent: alerts.cpu_threshold,
      memoryPercent: alerts.memory_threshold,
      diskPercent: alerts.disk_threshold,
      loadPerCore: alerts.load_threshold,
    },
    sources: {
      spool: () => {
        const { depth, bytes, oldestMs, deadLetters } = spool.figures();
        const age = oldestMs === undefined ? 0 : Math.max(0, clock.wallMs() - oldestMs) / 1000;
        return { depth, bytes, oldest_age: age, rejected: events.rejected, dead_letters: deadLetters };
      },
      commands: () => ({ running: commands.running, finished: commands.finished }),
      agents: () => agents.list().map(({ process_id, status }) => ({ process_id, status })),
      agentFailed: () => agents.lastFailed,
      cloud: () => ({
        configured: cloud !== undefined,
        connected: cloud?.link.connected ?? false,
        last_contact: cloud?.link.lastContactMs == null ? null : cloud.link.lastContactMs / 1000,
        reconnects: cloud?.link.reconnects ?? 0,
        lastError: cloud?.link.lastError,
      }),
      conditions: () => conditionsOf(config, sandboxProblem, cloud),
    },
    onChange: (health: Health) => {
      logger.info({ status: health.status, alerts: health.alerts }, "health has changed");
      events.emit(
        "health_check",
        { status: health.status, alerts: health.alerts },
        health.status === "healthy" ? "info" : "warning",
      );
      void cloud?.sendStatus(health, stopping.signal);
    },
    onSample: (metrics) => events.emit("system_metric", metrics),
  });

  // The interface, the same for every way in.
  const info = () =>
    systemInfoOf({
      config,
      host,
      probe,
      sandboxProblem,
      epoch: spool.epoch,
      uptimeMs: monitor.uptimeSeconds * 1000,
      wallMs: clock.wallMs(),
      diskPath: home,
    });
  const wireError = {
    stackTrace: ports.testMode,
    onInternal: (error: unknown, id: string) => {
      logger.error(
        { request_id: id, error: error instanceof Error ? error.stack : String(error) },
        "a request failed unexpectedly",
      );
      monitor.noteError(errorText(error));
    },
  };
  const session = new SessionFactory({
    handlers: {
      ...systemHandlers({ info, health: (detailed) => monitor.read(detailed), config: () => shownConfig(config) }),
      ...commandHandlers({ commands, clock, replyBytesMax: settings.process_management.max_reply_bytes }),
      ...eventHandlers(events),
      ...claudeHandlers({ agents, clock, relayTimeoutMs: claude.stdio_timeout * 1000 }),
    },
    authenticate: localTokenAuthenticator(loadLocalToken(settings.local_api.token_file)),
    roles: security.authorization.permissions,
    clock,
    wireError,
    observe: ({ method, caller, durationMs, error }) => {
      const fields = { method, caller: caller?.subject, via: caller?.via, ms: Math.round(durationMs * 10) / 10 };
      if (error === undefined) logger.debug(fields, "request");
      else
        logger.info(
          { ...fields, error_type: error instanceof HlError ? error.type : "internal_error", error: errorText(error) },
          "request failed",
        );
    },
  });
  const local = settings.local_api;
  const socketServer = building.use(
    new SocketServer({
      path: local.socket_path,
      clock,
      limits,
      connectionsMax: local.max_connections,
      loginTimeoutMs: local.login_timeout_seconds * 1000,
      inFlightMax: local.max_pending_requests,
      session,
    }),
  );
  if (local.http_enabled) {
    http = building.use(
      new HttpServer({
        host: local.http_host,
        port: local.http_port,
        clock,
        limits,
        connectionsMax: local.max_connections,
        inFlightMax: local.max_pending_requests,
        allowedOrigins: local.allowed_origins,
        session,
        health: () => publicHealth(monitor.read(false)),
        metrics: () => prometheusText(monitor.read(false)),
        openRpc: () => openRpcDocument(daemonMethods),
      }),
    );
  }
  const { base_url: baseUrl } = settings.cloud_api;
  if (baseUrl !== undefined) {
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
        handler: session.open("cloud", { role: security.authorization.default_role, subject: "cloud", via: "cloud" })
          .handler,
        refusals: session.refusals,
        capabilities: info().capabilities,
        diskFreeMb: () => info().system.disk_space,
        httpPort: () => Number(http?.address.split(":").at(-1) ?? 0),
        health: () => monitor.read(false),
        runningCommands: () => commands.runningIds(),
        onConnection: () => monitor.check(),
      }),
    );
    events.onAccepted(() => cloud?.uplink.poke());
  }
  const pruner = building.use(
    new Pruner({
      commands,
      clock,
      intervalMs: settings.process_management.cleanup_interval * 1000,
      retentionMs: settings.process_management.finished_retention_seconds * 1000,
      tidy: async () => {
        await inbox.prune(clock.wallMs() - 7 * 86_400_000, 10_000);
        if (cloud === undefined) await spool.keepNewest(settings.event_streaming.max_queue_size / 2);
      },
      onError: failure("old results could not be removed"),
    }),
  );
  building.use(monitor);

  const owned = building.move();
  const services: Service[] = [
    socketServer,
    ...(http === undefined ? [] : [http]),
    monitor,
    ...(cloud === undefined ? [] : [cloud.link]),
    pruner,
  ];
  return {
    socketPath: local.socket_path,
    httpAddress: () => http?.address,
    async start() {
      await runner.open();
      await commands.recover();
      for (const service of services) {
        await service.start();
        service.done.catch(failure(`${service.name} ended unexpectedly`));
      }
    },
    async stop() {
      await Promise.all([commands.drain(ownsRunner), agents.drain()]);
      const flushed = AbortSignal.any([AbortSignal.timeout(2_000)]);
      await cloud?.uplink.flush(flushed).catch(() => {}); // What stays is durable and goes out after the next start.
      stopping.abort();
      await owned.disposeAsync();
    },
    dumpState: () => ({ health: monitor.read(true), running: commands.runningIds(), agents: agents.list() }),
  };
}

/** Under systemd each user has an installed runner; in development the daemon's own lies below its home. */
function runnerPathsOf(config: Config, user: string): { socket: string; state: string } {
  const { runner_directory: installed, default_user: name } = config.daemon.process_management;
  if (installed === undefined)
    return { socket: join(config.home, "data/state/runner.sock"), state: join(config.home, "data/runner") };
  return { socket: join(installed, `${name ?? user}.sock`), state: join("/var/lib/hl-runner", name ?? user) };
}

/** X2: what is configured and cannot be enforced refuses commands; it is never quietly weaker. */
function sandboxProblemOf(config: Config, probe: RunnerProbe): string | undefined {
  const { network } = config.daemon.security.sandbox;
  if (network !== "host") return `security.sandbox.network "${network}" is not in this version; only "host" is`;
  if (probe.problem !== undefined) return `hl-runner cannot say what this kernel offers: ${probe.problem}`;
  return probe.landlockAbi === 0 ? "this kernel has no Landlock, or it is not enabled" : undefined;
}

function conditionsOf(
  config: Config,
  sandboxProblem: string | undefined,
  cloud: ComposedCloud | undefined,
): Health["alerts"] {
  const alerts: Health["alerts"] = [];
  if (config.daemon.security.sandbox_mode && sandboxProblem !== undefined) {
    const text = `${sandboxProblem}; commands are refused until it is, or until security.sandbox_mode is false`;
    alerts.push({ code: "sandbox_unavailable", severity: "warning", title: "The sandbox cannot be enforced", text });
  }
  if (cloud !== undefined && cloud.link.disconnectedMs > cloudHoldOffMs) {
    const text = `${cloud.link.lastError ?? "the first connection is being made"}; events are kept and commands of the cloud wait`;
    alerts.push({ code: "cloud_disconnected", severity: "warning", title: "No connection to the cloud", text });
  }
  return alerts;
}

/** `GET /health` answers everybody on this machine, so it says how the daemon is and not what it does. */
function publicHealth(health: Health): { status: string } & Record<string, unknown> {
  const { status, timestamp, uptime, version: daemonVersion, service_status, alerts } = health;
  return {
    status,
    timestamp,
    uptime,
    version: daemonVersion,
    service_status,
    alerts: alerts.map(({ code, severity, title }) => ({ code, severity, title })),
  };
}

function shownConfig(config: Config): { config: Record<string, unknown>; sources: Record<string, string> } {
  const masked = maskSecrets(config);
  const sources: Record<string, string> = {};
  for (const [pointer, source] of Object.entries(config.sources.daemon)) {
    if (source.kind !== "default") sources[pointer] = "file" in source ? source.file : JSON.stringify(source);
  }
  return { config: { ...masked.daemon, security_file: masked.security }, sources };
}
