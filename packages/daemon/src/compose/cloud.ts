import type { Config } from "@hl/config/load.ts";
import { tlsPolicy, type TlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { RequestHandler } from "@hl/core/rpc/answer.ts";
import type { PeerRefusals } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { LanesAcked } from "@hl/protocol/event-lanes.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { protocolVersion, version } from "@hl/protocol/version.ts";
import { dirname, join } from "node:path";
import { CommandChannel } from "../cloud/channel.ts";
import { Heartbeat } from "../cloud/heartbeat.ts";
import { CloudHttp } from "../cloud/http.ts";
import { Identity } from "../cloud/identity.ts";
import { InboxHandler } from "../cloud/inbox-handler.ts";
import { CloudLink, CloudTarget, isUnauthenticated } from "../cloud/link.ts";
import { Retry } from "../cloud/retry.ts";
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
}

/** A connection that is back within this time was a blip and no alert. */
export const cloudHoldOffMs = 10_000;

/** What a cloud that was restored from a backup can get once more. Research: fleet-agents (d.4). */
const deliveredKeptMs = 3_600_000;
const deliveredKeptBytes = 64 * 2 ** 20;

export interface ComposedCloud extends AsyncDisposable {
  readonly link: CloudLink;
  readonly uplink: Uplink;
  sendStatus(health: Health, signal: AbortSignal): Promise<void>;
}

/** The part of the composition root that exists only where a cloud is configured. */
export function composeCloud(ports: CloudPorts): ComposedCloud {
  const { config, baseUrl, host, clock, random, spool, limits } = ports;
  const logger = ports.logger.child({ part: "cloud" });
  const { connection, auth, endpoints } = config.daemon.cloud_api;
  const authFolder = dirname(auth.refresh_token_file);
  const retryOptions = {
    clock,
    random,
    logger,
    minMs: connection.retry_delay * 1000,
    maxMs: connection.max_retry_delay * 1000,
  };
  const http = new CloudHttp({
    clock,
    timeoutMs: connection.timeout * 1000,
    compress: connection.compression === "gzip",
    connectionsMax: connection.max_connections,
    answerBytesMax: limits.messageBytesMax,
  });
  const identity = new Identity({
    http,
    clock,
    baseUrl,
    registerPath: endpoints.register,
    accessTokenFile: auth.token_file,
    refreshTokenFile: auth.refresh_token_file,
    enrollmentTokenFile: auth.enrollment_token_file,
    enrollmentToken: ports.enrollmentToken,
    registrationFile: join(authFolder, "registration.json"),
    rotationFile: join(authFolder, "rotation"),
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
  const tls = tlsPolicy(config);
  const target = new CloudTarget({ identity, baseUrl, refusal: refusalOf(baseUrl, tls) });
  const registrationId = (): string => identity.registration?.registration_id ?? "";
  const renew = (signal: AbortSignal): Promise<void> => target.renew(signal);
  const onContact = (): void => link.contact();
  const uplink = new Uplink({
    spool,
    http,
    clock,
    logger,
    retry: new Retry(retryOptions),
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
    target: (signal) => target.endpoint("heartbeat", signal),
    renew,
    isUnauthenticated,
    beat: () => {
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
    onContact,
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
  const channel = new CommandChannel({
    clock,
    logger,
    limits,
    retry: new Retry(retryOptions),
    pingIntervalMs: connection.ping_interval * 1000,
    deadAfterMs: connection.dead_after * 1000,
    connectTimeoutMs: Math.min(connection.timeout * 1000, 15_000),
    target: (signal) => target.endpoint("commands", signal),
    renew,
    hello: () => ({
      registration_id: registrationId(),
      daemon_version: version,
      protocol_version: protocolVersion,
      boot_id: host.bootId,
      epoch: spool.epoch,
      running: ports.runningCommands(),
      unacked_results: [],
    }),
    handler: new InboxHandler(ports.handler, ports.inbox, isIdempotent),
    refusals: ports.refusals,
    inFlightMax: config.daemon.local_api.max_pending_requests,
    onConnected: ({ events_acked: acked }) => {
      link.contact();
      ports.onConnection();
      if (acked !== undefined) void reconcile(acked);
    },
    onDisconnected: (reason, wasConnected) => {
      link.attemptFailed(reason, wasConnected);
      if (wasConnected) cancelHoldOff = clock.after(cloudHoldOffMs + 100, ports.onConnection);
    },
  });
  const link = new CloudLink({ clock, logger, http }, { channel, heartbeat, uplink });
  return {
    link,
    uplink,
    sendStatus: (health, signal) => link.sendStatus(target, { registration_id: registrationId(), health }, signal),
    async [Symbol.asyncDispose]() {
      cancelHoldOff();
      await link[Symbol.asyncDispose]();
      await http[Symbol.asyncDispose]();
    },
  };
}

/** X2: a pin that is configured and not checked would be no pin. */
export function refusalOf(baseUrl: string, { pins }: Pick<TlsPolicy, "pins">): string | undefined {
  if (!baseUrl.startsWith("https:") || pins === undefined) return undefined;
  const pinned = "network_security.tls_config.certificate_pinning in security.json is on";
  if (pins.length === 0)
    return `${pinned}, and pin_hashes holds no pin but the placeholder: give the real ones, or turn it off`;
  return `${pinned}, and this version cannot check pins: turn it off knowingly`;
}

function isIdempotent(method: string): boolean {
  return (daemonMethods as Readonly<Record<string, { readonly idempotent: boolean }>>)[method]?.idempotent ?? true;
}
