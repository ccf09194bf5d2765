import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { LanesAcked } from "@hl/protocol/event-lanes.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { runIdHeader } from "@hl/protocol/methods/vm.ts";
import { protocolVersion, protocolVersionMin, version } from "@hl/protocol/version.ts";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { ChannelPaths } from "../cloud/channel-paths.ts";
import { CommandChannel } from "../cloud/channel.ts";
import { ClockWatch } from "../cloud/clock-watch.ts";
import { Heartbeat } from "../cloud/heartbeat.ts";
import { CloudHttp } from "../cloud/http.ts";
import { Identity } from "../cloud/identity.ts";
import { InboxHandler } from "../cloud/inbox-handler.ts";
import { CloudLink, isUnauthenticated } from "../cloud/link.ts";
import { Retry, type RetryOptions } from "../cloud/retry.ts";
import { CloudTarget, type Shut } from "../cloud/target.ts";
import { cloudTls, refusalOf } from "../cloud/tls.ts";
import { Uplink } from "../cloud/uplink.ts";
import type { Health } from "../health/monitor.ts";
import type { HostFacts } from "../host-facts.ts";
import { DeliveredRetention } from "../store/delivered-retention.ts";
import type { EventSpool } from "../store/event-spool.ts";
import type { Inbox } from "../store/inbox.ts";

/** What the cloud link needs of the rest of the daemon. */
export interface CloudPorts {
  readonly config: Config;
  readonly baseUrl: string;
  readonly enrollmentToken: string | undefined;
  readonly host: HostFacts;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly spool: EventSpool;
  readonly inbox: Inbox;
  readonly limits: TransportLimits;
  readonly handler: RequestHandler;
  readonly refusals: PeerRefusals;
  readonly capabilities: readonly string[];
  readonly diskFreeMb: () => number;
  readonly httpPort: () => number;
  readonly health: () => Health;
  readonly runningCommands: () => string[];
  /** The command channel came up, or has been down for the hold-off: health is to be judged again. */
  readonly onConnection: () => void;
  /** @param forwardMs how far the wall clock jumped against the monotonic one */
  readonly onClockJump: (forwardMs: number) => void;
  /** The cloud does not want this VM any more: what runs for it is to end, what is spooled is kept. */
  readonly onShut: (why: Shut) => void;
}

/** A connection that is back within this time was a blip and no alert. */
export const cloudHoldOffMs = 10_000;

/** What a cloud that was restored from a backup can get once more. Research: fleet-agents (d.4). */
const deliveredKeptMs = 3_600_000;
const deliveredKeptBytes = 64 * 2 ** 20;

export interface ComposedCloud extends AsyncDisposable {
  readonly link: CloudLink;
  readonly uplink: Uplink;
  /** Why the cloud does not want this VM; undefined while it does. */
  shut(): Shut | undefined;
  sendStatus(health: Health, signal: AbortSignal): Promise<void>;
}

/** The part of the composition root that exists only where a cloud is configured. */
export function composeCloud(ports: CloudPorts): ComposedCloud {
  const { config, baseUrl, host, clock, random, spool, limits } = ports;
  const logger = ports.logger.child({ part: "cloud" });
  const { connection, auth, endpoints } = config.daemon.cloud_api;
  const { certificate } = config.security.authentication;
  const authFolder = dirname(auth.refresh_token_file);
  const retryOptions: RetryOptions = {
    clock,
    random,
    logger,
    minMs: connection.retry_delay * 1000,
    maxMs: connection.max_retry_delay * 1000,
    refused: { minMs: connection.refused_retry_delay * 1000, maxMs: connection.refused_retry_delay_max * 1000 },
    revoked: { minMs: connection.revoked_retry_delay * 1000, maxMs: connection.revoked_retry_delay_max * 1000 },
    onFailure: (error) => target.noticed(error),
  };
  const certificateAlone = auth.method === "certificate";
  const files = { ca: certificate.ca_cert, cert: auth.cert_file, key: auth.key_file };
  const tls = cloudTls(tlsPolicy(config, existsSync(auth.cert_file)), files);
  const connectTimeoutMs = Math.min(connection.timeout, connection.connect_timeout) * 1000;
  const retryAfterMaxMs = connection.retry_after_max * 1000;
  // One a process: who restarts, and who was copied, is another run under the same identity.
  const runId = randomUUID();
  const http = new CloudHttp({
    clock,
    timeoutMs: connection.timeout * 1000,
    compress: connection.compression === "gzip",
    connectionsMax: connection.max_connections,
    answerBytesMax: limits.messageBytesMax,
    connectTimeoutMs,
    retryAfterMaxMs,
    tls: tls.options,
    headers: { [runIdHeader]: runId },
  });
  const identity = new Identity({
    http,
    // Tokens carry the cloud's time: with a clock that is an hour ahead every one of them would look expired.
    clock: { wallMs: () => clock.wallMs() + (link.clockSkewMs ?? 0) },
    baseUrl,
    registerPath: endpoints.register,
    accessTokenFile: auth.token_file,
    refreshTokenFile: auth.refresh_token_file,
    enrollmentTokenFile: auth.enrollment_token_file,
    enrollmentToken: ports.enrollmentToken,
    registrationFile: join(authFolder, "registration.json"),
    rotationFile: join(authFolder, "rotation"),
    certificateAlone,
    refreshThresholdMs: config.security.authentication.jwt.refresh_threshold * 1000,
    describe: () => ({
      instance_id: host.instanceId,
      workspace_id: config.daemon.daemon.workspace_id ?? "",
      capabilities: [...ports.capabilities],
      system_info: {
        os: host.os,
        arch: host.arch,
        memory: host.memoryMb,
        cpu_cores: host.cores,
        disk_space: ports.diskFreeMb(),
      },
      network_info: { ip_address: host.ipAddress, hostname: host.hostname, ports: [ports.httpPort()] },
      daemon_version: version,
      epoch: spool.epoch,
    }),
  });
  const uplinkRetry = new Retry(retryOptions);
  const channelRetry = new Retry({
    ...retryOptions,
    minMs: connection.reconnect_spread * 1000,
    healthyMs: connection.healthy_after * 1000,
  });
  const target: CloudTarget = new CloudTarget({
    identity,
    baseUrl,
    refusal: refusalOf(baseUrl, tlsPolicy(config), certificateAlone && !tls.hasCertificate ? files : undefined),
    onShut: (why) => {
      logger.error({ why }, "the cloud does not want this VM: only the heartbeat asks again, the others wait for it");
      ports.onShut(why);
    },
    onOpened: () => {
      logger.info({}, "the cloud accepts this VM again");
      for (const retry of [uplinkRetry, channelRetry]) retry.wake();
    },
  });
  const registrationId = (): string => identity.registration?.registration_id ?? "";
  const renew = (signal: AbortSignal): Promise<void> => target.renew(signal);
  const onContact = (): void => link.contact();
  const uplink = new Uplink({
    spool,
    http,
    clock,
    logger,
    retry: uplinkRetry,
    batchEventsMax: config.daemon.event_streaming.batch_size,
    batchBytesMax: 1_048_576,
    flushIntervalMs: config.daemon.event_streaming.flush_interval * 1000,
    retention: new DeliveredRetention({
      spool,
      clock,
      logger,
      keepMs: deliveredKeptMs,
      keepBytes: Math.min(deliveredKeptBytes, config.daemon.event_streaming.max_queue_bytes),
    }),
    target: (signal) => target.endpoint("events", signal),
    renew,
    isUnauthenticated,
    onContact,
  });
  const heartbeat = new Heartbeat({
    clock,
    random,
    http,
    retry: new Retry(retryOptions),
    intervalMs: connection.heartbeat_interval * 1000,
    intervalMinMs: connection.heartbeat_interval_min * 1000,
    intervalMaxMs: connection.heartbeat_interval_max * 1000,
    target: (signal) => target.endpoint("heartbeat", signal),
    renew,
    isUnauthenticated,
    beat: () => {
      clockWatch.check();
      const health = ports.health();
      return {
        registration_id: registrationId(),
        status: health.status,
        uptime: health.uptime,
        spool_depth: health.spool.depth,
        commands_running: health.commands.running,
        agents_running: health.agents.running,
        memory_rss_mb: health.process.memory_rss_mb,
        clock: clock.wallMs() / 1000,
      };
    },
    onContact: (serverTimeMs, tookMs) => {
      onContact();
      link.setServerTime(serverTimeMs, tookMs);
      target.accepted();
    },
  });
  const reconcile = async (acked: LanesAcked): Promise<void> => {
    try {
      await spool.reconcile(acked);
      uplink.poke();
    } catch (error) {
      logger.error({ error: errorText(error) }, "what the cloud has could not be compared with what it acknowledged");
    }
  };
  let cancelHoldOff = (): void => {};
  const clockWatch = new ClockWatch({
    clock,
    jumpMs: connection.clock_jump * 1000,
    onJump: (forwardMs) => {
      logger.warn({ forward_ms: Math.round(forwardMs) }, "the wall clock has jumped: the machine slept, or it was set");
      ports.onClockJump(Math.round(forwardMs));
      if (identity.refreshInMs <= 0) target.renew(AbortSignal.timeout(connection.timeout * 1000)).catch(() => {});
      if (forwardMs > connection.resume_jump * 1000) channel.resumed(connection.resume_pong * 1000);
    },
  });
  const paths = new ChannelPaths({
    clock,
    random,
    logger,
    http,
    limits,
    pingIntervalMs: connection.ping_interval * 1000,
    deadAfterMs: connection.dead_after * 1000,
    connectTimeoutMs,
    tls: tls.options,
    target: (signal) => target.endpoint("commands", signal),
    renew,
    retryAfterMaxMs,
    onTick: () => clockWatch.check(),
    longPollAfter: connection.long_poll_after,
    // A poll is a request like any other: it must be answered before its time is over.
    longPollWaitMs: Math.min(connection.long_poll_wait, connection.timeout * 0.8) * 1000,
    webSocketRetryMs: connection.websocket_retry * 1000,
  });
  const channel = new CommandChannel({
    clock,
    logger,
    retry: channelRetry,
    paths,
    connectTimeoutMs,
    drainSpreadMaxMs: connection.drain_spread_max * 1000,
    hello: () => ({
      registration_id: registrationId(),
      daemon_version: version,
      protocol_version: protocolVersion,
      protocol_min: protocolVersionMin,
      boot_id: host.bootId,
      run_id: runId,
      epoch: spool.epoch,
      running: ports.runningCommands(),
      unacked_results: [],
    }),
    handler: new InboxHandler(ports.handler, ports.inbox, isIdempotent),
    refusals: ports.refusals,
    inFlightMax: config.daemon.local_api.max_pending_requests,
    onConnected: (welcome, tookMs) => {
      link.contact();
      link.setServerTime(welcome.server_time * 1000, tookMs);
      if (welcome.heartbeat_interval !== undefined) heartbeat.setInterval(welcome.heartbeat_interval);
      ports.onConnection();
      if (welcome.events_acked !== undefined) void reconcile(welcome.events_acked);
    },
    onDisconnected: (reason, wasConnected) => {
      link.attemptFailed(reason, wasConnected);
      if (wasConnected) cancelHoldOff = clock.after(cloudHoldOffMs + 100, ports.onConnection);
    },
  });
  const link = new CloudLink({ clock, logger, http }, { channel, heartbeat, uplink });
  return {
    link,
    shut: () => target.shut,
    uplink,
    sendStatus: (health, signal) => link.sendStatus(target, { registration_id: registrationId(), health }, signal),
    async [Symbol.asyncDispose]() {
      cancelHoldOff();
      await link[Symbol.asyncDispose]();
      await http[Symbol.asyncDispose]();
    },
  };
}

function isIdempotent(method: string): boolean {
  return (daemonMethods as Readonly<Record<string, { readonly idempotent: boolean }>>)[method]?.idempotent ?? true;
}
