import { tlsPolicy } from "@hl/config/tls-policy.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { runIdHeader } from "@hl/protocol/methods/vm.ts";
import { protocolVersion, protocolVersionMin, version } from "@hl/protocol/version.ts";
import { randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { ChannelPaths } from "../cloud/channel-paths.ts";
import { CommandChannel } from "../cloud/channel.ts";
import { ClockWatch } from "../cloud/clock-watch.ts";
import { Heartbeat } from "../cloud/heartbeat.ts";
import { CloudHttp } from "../cloud/http.ts";
import type { Identity } from "../cloud/identity.ts";
import { InboxHandler } from "../cloud/inbox-handler.ts";
import { CloudLink, isUnauthenticated } from "../cloud/link.ts";
import { Retry, type RetryOptions } from "../cloud/retry.ts";
import { CloudTarget, type Shut } from "../cloud/target.ts";
import { cloudTls, refusalOf } from "../cloud/tls.ts";
import type { Uplink } from "../cloud/uplink.ts";
import type { Health } from "../health/monitor.ts";
import { composeIdentity } from "./cloud-identity.ts";
import type { CloudPorts } from "./cloud-ports.ts";
import { composeUplink } from "./cloud-uplink.ts";

/** A connection that is back within this time was a blip and no alert. */
export const cloudHoldOffMs = 10_000;

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
  const { connection, auth } = config.daemon.cloud_api;
  const { certificate } = config.security.authentication;
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
  const identity: Identity = composeIdentity(ports, {
    http,
    certificateAlone,
    // Tokens carry the cloud's time: with a clock that is an hour ahead every one of them would look expired.
    clock: { wallMs: () => clock.wallMs() + (link.clockSkewMs ?? 0) },
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
  const { uplink, reconcile } = composeUplink(ports, { http, retry: uplinkRetry, target, logger, onContact });
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
      if (welcome.events_acked !== undefined) void reconcile(welcome.events_acked, welcome.cloud_run_id);
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
