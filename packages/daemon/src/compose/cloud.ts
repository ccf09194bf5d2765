import { tlsPolicy } from "@hl/config/tls-policy.ts";
import { joined } from "@hl/core/joined.ts";
import { healthChecks } from "@hl/protocol/health-checks.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { runIdHeader } from "@hl/protocol/methods/vm.ts";
import { protocolVersion, protocolVersionMin, version } from "@hl/protocol/version.ts";
import { randomUUID } from "node:crypto";
import { ChannelPaths } from "../cloud/channel-paths.ts";
import { CommandChannel } from "../cloud/channel.ts";
import { ClockWatch } from "../cloud/clock-watch.ts";
import { Heartbeat, type HeartbeatOptions } from "../cloud/heartbeat.ts";
import { CloudHttp } from "../cloud/http.ts";
import type { Identity } from "../cloud/identity.ts";
import { InboxHandler } from "../cloud/inbox-handler.ts";
import { CloudLink, isUnauthenticated } from "../cloud/link.ts";
import { RequestPace } from "../cloud/request-pace.ts";
import { Retry } from "../cloud/retry.ts";
import { CloudTarget, type Shut } from "../cloud/target.ts";
import { certificateState, refusalOf } from "../cloud/tls.ts";
import type { Uplink } from "../cloud/uplink.ts";
import type { Health } from "../health/monitor.ts";
import { composeIdentity } from "./cloud-identity.ts";
import { composeNumbers, paceOf, retryOptions } from "./cloud-numbers.ts";
import type { CloudPorts } from "./cloud-ports.ts";
import { composeUplink } from "./cloud-uplink.ts";

/** A connection that is back within this time was a blip and no alert. */
const cloudHoldOffMs = healthChecks.cloud_disconnected.holdOffMs;

export interface ComposedCloud extends AsyncDisposable {
  readonly link: CloudLink;
  readonly uplink: Uplink;
  /** Why the cloud does not want this VM; undefined while it does. */
  shut(): Shut | undefined;
  sendStatus(health: Health, signal: AbortSignal): Promise<void>;
}

/** The part of the composition root that exists only where a cloud is configured. */
export function composeCloud(ports: CloudPorts): ComposedCloud {
  const { config, live, baseUrl, host, clock, random, spool, limits } = ports;
  const logger = ports.logger.child({ part: "cloud" });
  const { connection, auth } = config.daemon.cloud_api;
  const { cloudTls: tls, cloudFiles: files } = ports.outbound;
  const numbers = composeNumbers(live, logger);
  const retrying = {
    ...{ clock, random, logger, attemptsMax: connection.retry_attempts },
    onFailure: (error: unknown) => target.noticed(error),
  };
  const certificateAlone = auth.method === "certificate";
  if (baseUrl.startsWith("https:")) tls(); // A file that cannot be used is told at the start.
  const inFlightMax = live.part(({ daemon }) => daemon.local_api.max_pending_requests);
  const connectTimeoutMs = (): number => Math.min(numbers.ms("timeout"), numbers.ms("connect_timeout"));
  const connect = ports.outbound.connectCloud(connectTimeoutMs);
  // One a process: who restarts, and who was copied, is another run under the same identity.
  const runId = randomUUID();
  const pace = new RequestPace(live.part(paceOf)(), clock);
  live.follow(paceOf, (rate) => pace.change(rate));
  const compression = live.part(({ daemon: { cloud_api: cloud, event_streaming: events } }) => {
    const { compression: coding, compression_level: level, compression_bytes_min: bytesMin } = cloud.connection;
    const gzip = { level, bytesMin };
    const ofBatches = events.compression;
    return { requests: coding === "none" ? undefined : gzip, batches: ofBatches === "gzip" && coding === "gzip" };
  });
  const http = new CloudHttp({
    clock,
    pace,
    get timeoutMs() {
      return numbers.ms("timeout");
    },
    get compression() {
      return compression().requests;
    },
    get compressesBatches() {
      return compression().batches;
    },
    connectionsMax: connection.max_connections,
    keepsConnections: connection.keepalive,
    answerBytesMax: limits.messageBytesMax,
    connect,
    get retryAfterMaxMs() {
      return numbers.ms("retry_after_max");
    },
    headers: { [runIdHeader]: runId },
  });
  const identity: Identity = composeIdentity(ports, {
    http,
    certificateAlone,
    // Tokens carry the cloud's time: with a clock that is an hour ahead every one of them would look expired.
    clock: { wallMs: () => clock.wallMs() + (link.clockSkewMs ?? 0) },
  });
  const uplinkRetry = new Retry(retryOptions(numbers, "requests", retrying));
  const heartbeatRetry = new Retry(retryOptions(numbers, "requests", retrying));
  const channelRetry = new Retry(retryOptions(numbers, "channel", retrying));
  const target: CloudTarget = new CloudTarget({
    identity,
    get refusal() {
      const state = certificateState(files);
      const missing = certificateAlone && state !== "whole" ? files : undefined;
      return refusalOf(baseUrl, tlsPolicy(config), missing, state === "half" ? files : undefined);
    },
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
  let flushInterval = numbers.value("flush_interval");
  const numbersChanged = (): void => {
    const before = flushInterval;
    flushInterval = numbers.value("flush_interval");
    if (flushInterval < before) uplink.poke(true); // What waits has begun to wait for the longer time.
  };
  const onSettings = (settings: LinkSettings): void => {
    numbers.take(settings);
    numbersChanged();
  };
  const uplinkParts = { http, retry: uplinkRetry, target, logger, onContact, numbers };
  const { uplink, reconcile } = composeUplink(ports, uplinkParts);
  const intervals = live.options({}, ({ daemon: { cloud_api: cloud } }) => ({
    intervalMs: cloud.connection.heartbeat_interval * 1000,
    intervalMinMs: cloud.connection.heartbeat_interval_min * 1000,
    intervalMaxMs: cloud.connection.heartbeat_interval_max * 1000,
  }));
  const beating: Omit<HeartbeatOptions, keyof typeof intervals> = {
    clock,
    random,
    http,
    retry: heartbeatRetry,
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
  };
  const heartbeat = new Heartbeat(joined(beating, intervals));
  let cancelHoldOff = (): void => {};
  const clockWatch = new ClockWatch({
    clock,
    get jumpMs() {
      return numbers.ms("clock_jump");
    },
    onJump: (forwardMs) => {
      logger.warn({ forward_ms: Math.round(forwardMs) }, "the wall clock has jumped: the machine slept, or it was set");
      ports.onClockJump(Math.round(forwardMs));
      if (identity.refreshInMs <= 0) target.renew(AbortSignal.timeout(numbers.ms("timeout"))).catch(() => {});
      if (forwardMs > numbers.ms("resume_jump")) channel.resumed(numbers.ms("resume_pong"));
    },
  });
  const paths = new ChannelPaths({
    clock,
    random,
    logger,
    http,
    limits,
    get pingIntervalMs() {
      return numbers.ms("ping_interval");
    },
    get deadAfterMs() {
      return numbers.ms("dead_after");
    },
    get connectTimeoutMs() {
      return connectTimeoutMs();
    },
    connect,
    target: (signal) => target.endpoint("commands", signal),
    renew,
    get retryAfterMaxMs() {
      return numbers.ms("retry_after_max");
    },
    onTick: () => clockWatch.check(),
    get longPollAfter() {
      return numbers.value("long_poll_after");
    },
    get longPollWaitMs() {
      // A poll is a request like any other: it must be answered before its time is over.
      return Math.min(numbers.ms("long_poll_wait"), numbers.ms("timeout") * 0.8);
    },
    get webSocketRetryMs() {
      return numbers.ms("websocket_retry");
    },
  });
  const channel = new CommandChannel({
    clock,
    logger,
    retry: channelRetry,
    paths,
    get connectTimeoutMs() {
      return connectTimeoutMs();
    },
    get drainSpreadMaxMs() {
      return numbers.ms("drain_spread_max");
    },
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
    get inFlightMax() {
      return inFlightMax();
    },
    onConnected: (welcome, tookMs) => {
      link.contact();
      for (const retry of [uplinkRetry, heartbeatRetry]) retry.reached();
      link.setServerTime(welcome.server_time * 1000, tookMs);
      if (welcome.heartbeat_interval !== undefined) heartbeat.setInterval(welcome.heartbeat_interval);
      onSettings(welcome.settings ?? {});
      ports.onConnection();
      if (welcome.events_acked !== undefined) void reconcile(welcome.events_acked, welcome.cloud_run_id);
    },
    onSettings,
    onDisconnected: (reason, wasConnected) => {
      link.attemptFailed(reason, wasConnected);
      if (wasConnected) cancelHoldOff = clock.after(cloudHoldOffMs + 100, ports.onConnection);
    },
  });
  live.follow(({ daemon }) => daemon.event_streaming.flush_interval, numbersChanged);
  live.follow(
    ({ daemon }) => daemon.event_streaming.enabled,
    () => uplink.poke(),
  );
  const link = new CloudLink({ clock, logger, http, numbers }, { channel, heartbeat, uplink });
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
