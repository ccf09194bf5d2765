import type { Server } from "node:http";
import type { TlsOptions } from "node:tls";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import { dashboardRoutes } from "./dashboard/routes.ts";
import { EventFeed } from "./fleet/event-feed.ts";
import { Fleet } from "./fleet/fleet.ts";
import { Presence } from "./fleet/presence.ts";
import { RequestService } from "./fleet/request-service.ts";
import { VmMethods } from "./fleet/vm-methods.ts";
import { eventRoutes } from "./http/event-routes.ts";
import { instanceRoutes } from "./http/instance-routes.ts";
import { OperatorGuard } from "./http/operator-guard.ts";
import { publicRoutes } from "./http/public-routes.ts";
import { requestRoutes } from "./http/request-routes.ts";
import { httpServer } from "./http/server.ts";
import { Shutdown } from "./http/shutdown.ts";
import { socketRoutes } from "./http/socket-routes.ts";
import { serveUpgrades } from "./http/upgrade.ts";
import { vmRoutes } from "./http/vm-routes.ts";
import { isLoopback, parseListenAddress, urlOf } from "./listen-address.ts";
import { Maintenance } from "./maintenance.ts";
import { ConnectionLimit } from "./operators/connection-limit.ts";
import { Operators } from "./operators/operators.ts";
import type { OperatorRole } from "./operators/roles.ts";
import { lockHome } from "./store/home-lock.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { AccessTokens } from "./tokens/access-tokens.ts";
import { Credentials } from "./tokens/credentials.ts";
import { loadKeys } from "./tokens/keys.ts";

/** The numbers of hl-cloud, each with its unit; a test may make them small. */
export interface CloudLimits {
  readonly accessTokenSeconds: number;
  readonly heartbeatSeconds: number;
  readonly eventBatchSize: number;
  readonly bodyBytesMax: number;
  readonly messageBytesMax: number;
  readonly streamQueueBytesMax: number;
  readonly requestsPerInstanceMax: number;
  readonly inFlightPerInstanceMax: number;
  readonly connectionsPerOperatorMax: number;
  readonly presenceFlushMs: number;
  readonly helloWithinMs: number;
  readonly pingIntervalMs: number;
  readonly deadAfterMs: number;
  readonly queueLifeMs: number;
  readonly eventLifeMs: number;
  readonly requestLifeMs: number;
  readonly drainMs: number;
}

const dayMs = 24 * 3_600_000;

export const defaultLimits: CloudLimits = {
  accessTokenSeconds: 900,
  heartbeatSeconds: 30,
  eventBatchSize: 100,
  bodyBytesMax: 10 * 1024 * 1024,
  messageBytesMax: 10 * 1024 * 1024,
  streamQueueBytesMax: 4 * 1024 * 1024,
  requestsPerInstanceMax: 1_000,
  inFlightPerInstanceMax: 128, // The daemon takes 256; the rest is left for what others ask of it.
  connectionsPerOperatorMax: 64,
  presenceFlushMs: 15_000,
  helloWithinMs: 15_000,
  pingIntervalMs: 20_000,
  deadAfterMs: 45_000,
  queueLifeMs: dayMs,
  eventLifeMs: 30 * dayMs,
  requestLifeMs: 7 * dayMs,
  drainMs: 4_000,
};

export interface CloudOptions {
  readonly home: string;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  readonly tls?: TlsOptions | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly limits?: Partial<CloudLimits> | undefined;
}

export interface Cloud extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly fleet: Fleet;
  /** The same as `hl-cloud enroll`. */
  enroll(instanceId: string, options?: { ttlSeconds?: number; workspaceId?: string }): Promise<string>;
  /** The same as `hl-cloud operator add --replace`. */
  addOperator(name: string, role: OperatorRole): Promise<string>;
  /** Cuts what a stop in progress still waits for. */
  force(): void;
}

/** The configuration cannot work; nothing was started. */
export class CloudConfigError extends Error {
  override readonly name = "CloudConfigError";
}

/** Builds and starts everything, in this order; disposing stops it in the reverse order. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const { home, tls, clock = systemClock, logger = silentLogger } = options;
  const limits: CloudLimits = { ...defaultLimits, ...options.limits };
  const address = judgeAddress(options.listen, tls);
  const wireError: WireErrorOptions = {
    stackTrace: false,
    onInternal: (error, requestId) => logger.error({ error, request: requestId }, "a request failed unexpectedly"),
  };
  await using stack = new AsyncDisposableStack();

  const store = stack.use(openSqliteStore(home));
  stack.use(lockHome(home));
  const keys = await loadKeys(home);
  const credentials = new Credentials({
    store: store.credentials,
    accessTokens: new AccessTokens(keys, clock, limits.accessTokenSeconds),
    secret: keys.secret,
    clock,
    logger,
    onFenced: (instanceId) => fleet.disconnect(instanceId, "these credentials are fenced"),
  });
  const operators = new Operators(store.operators, clock);
  const presence = stack.use(
    new Presence({ store: store.instances, clock, logger, flushIntervalMs: limits.presenceFlushMs }),
  );
  const maintenance = stack.use(new Maintenance({ store, clock, logger, ...limits }));
  const feed = new EventFeed();
  const requests: RequestService = new RequestService({
    requests: store.requests,
    instances: store.instances,
    fleet: () => fleet,
    clock,
    logger,
    queueLifeMs: limits.queueLifeMs,
  });
  const fleet: Fleet = new Fleet({
    logger,
    limits: { inFlightMax: limits.inFlightPerInstanceMax, requestsMax: limits.requestsPerInstanceMax },
    recover: (instanceId) => requests.recover(instanceId),
  });

  const app = httpServer({ clock, wireError, bodyBytesMax: limits.bodyBytesMax, tls });
  const guard = new OperatorGuard(operators);
  const limit = new ConnectionLimit(limits.connectionsPerOperatorMax);
  const stopping = new AbortController();
  const { heartbeatSeconds, eventBatchSize } = limits;
  const methods = new VmMethods({
    store,
    credentials,
    presence,
    feed,
    clock,
    logger,
    wireError,
    configuration: { heartbeatSeconds, eventBatchSize },
  });
  const clientCertificate = tls?.ca !== undefined;
  vmRoutes(app, { methods, credentials, clock, clientCertificate });
  instanceRoutes(app, { instances: store.instances, fleet, presence, guard });
  eventRoutes(app, {
    instances: store.instances,
    events: store.events,
    feed,
    guard,
    limit,
    clock,
    stopping: stopping.signal,
  });
  requestRoutes(app, { requests, guard, clock, wireError });
  publicRoutes(app, keys);
  dashboardRoutes(app);
  await app.ready();
  const shutdown = new Shutdown(app.server, clock).watch();
  const { pingIntervalMs, deadAfterMs, helloWithinMs, streamQueueBytesMax } = limits;
  const beat = { pingIntervalMs, deadAfterMs };
  const sockets = serveUpgrades({
    server: app.server,
    clock,
    wireError,
    messageBytesMax: limits.messageBytesMax,
    routes: socketRoutes({
      credentials,
      clientCertificate,
      operators,
      limit,
      channel: {
        fleet,
        instances: store.instances,
        events: store.events,
        presence,
        clock,
        logger,
        wireError,
        helloWithinMs,
        ...beat,
      },
      operatorSocket: { requests, clock, wireError, streamQueueBytesMax, ...beat },
    }),
  });

  const force = (): void => {
    for (const socket of sockets.clients) socket.terminate();
    app.server.closeAllConnections();
  };
  stack.defer(async () => {
    stopping.abort();
    const closed = app.close();
    await fleet[Symbol.asyncDispose]();
    for (const socket of sockets.clients) socket.close(1001, "hl-cloud is stopping");
    const gone = Promise.all([closed, ...[...sockets.clients].map((socket) => goodbye(socket))]);
    if (!(await shutdown.drain(gone, limits.drainMs))) force();
    await gone;
  });

  await presence.start();
  await maintenance.start();
  await app.listen({ host: address.host, port: address.port });
  const owned = stack.move();
  const url = urlOf(tls === undefined ? "http" : "https", address.host, portOf(app.server));
  logger.info({ url, home }, "hl-cloud is ready");
  return {
    url,
    store,
    fleet,
    enroll: (instanceId, { ttlSeconds = 3_600, workspaceId } = {}) =>
      credentials.enroll(instanceId, ttlSeconds, workspaceId),
    addOperator: async (name, role) => (await operators.add(name, role, true)) ?? "",
    force,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function judgeAddress(listen: string, tls: TlsOptions | undefined): { host: string; port: number } {
  const address = parseListenAddress(listen);
  if (address === undefined) throw new CloudConfigError(`--listen ${JSON.stringify(listen)} is not HOST:PORT`);
  if (tls !== undefined || isLoopback(address.host)) return address;
  throw new CloudConfigError(
    `--listen ${listen} is not a loopback address, and plain http would send tokens in clear: give --tls-cert and --tls-key, or listen on 127.0.0.1 behind a proxy that ends TLS`,
  );
}

function goodbye(socket: { once(event: "close", listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}

function portOf(server: Server): number {
  const address = server.address();
  return typeof address === "object" && address !== null ? address.port : 0;
}
