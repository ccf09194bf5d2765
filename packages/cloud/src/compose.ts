import { randomUUID } from "node:crypto";
import { Server as TlsServer, type TlsOptions } from "node:tls";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { silentLogger, type Logger } from "@hl/core/logger.ts";
import type { LinkSettings } from "@hl/protocol/link-settings.ts";
import type { WireErrorOptions } from "@hl/protocol/wire-error.ts";
import { defaultLimits, judgeLimits, leaseMs, type CloudLimits } from "./cloud-limits.ts";
import { composeCredentials } from "./compose-credentials.ts";
import { Counters } from "./counters.ts";
import { dashboardRoutes } from "./dashboard/routes.ts";
import type { CommandChannelOptions } from "./fleet/command-channel.ts";
import { EventFeed } from "./fleet/event-feed.ts";
import { Fleet } from "./fleet/fleet.ts";
import { Leases } from "./fleet/leases.ts";
import { Pace, secondsFor } from "./fleet/pace.ts";
import { Presence } from "./fleet/presence.ts";
import { RequestService } from "./fleet/request-service.ts";
import { SecurityEvents } from "./fleet/security-events.ts";
import { VmMethods } from "./fleet/vm-methods.ts";
import { VmSettings } from "./fleet/vm-settings.ts";
import { approvalRoutes } from "./http/approval-routes.ts";
import { eventRoutes } from "./http/event-routes.ts";
import { instanceRoutes } from "./http/instance-routes.ts";
import { metricsRoute } from "./http/metrics-route.ts";
import { OperatorGuard } from "./http/operator-guard.ts";
import { publicRoutes } from "./http/public-routes.ts";
import { requestRoutes } from "./http/request-routes.ts";
import { httpServer } from "./http/server.ts";
import { Shutdown } from "./http/shutdown.ts";
import { socketRoutes } from "./http/socket-routes.ts";
import { serveUpgrades } from "./http/upgrade.ts";
import { vmRoutes } from "./http/vm-routes.ts";
import { admitInstance, vmLimits } from "./limits/vm-limits.ts";
import { judgeAddress, portOf, urlOf } from "./listen-address.ts";
import { Maintenance } from "./maintenance.ts";
import { ConnectionLimit } from "./operators/connection-limit.ts";
import { Operators } from "./operators/operators.ts";
import type { OperatorRole } from "./operators/roles.ts";
import { lockHome } from "./store/home-lock.ts";
import { listenForChanges } from "./store/home-socket.ts";
import { openSqliteStore } from "./store/sqlite-store.ts";
import type { Store } from "./store/store.ts";
import { loadKeys } from "./tokens/keys.ts";

/** Connections that the kernel keeps for us: over Node's 511 those of a returning fleet are dropped, and tried again seconds later. */
const acceptBacklog = 4_096;

export interface CloudOptions {
  readonly home: string;
  /** HOST:PORT; port 0 takes any free one. */
  readonly listen: string;
  readonly tls?: TlsOptions | undefined;
  readonly clock?: Clock | undefined;
  readonly logger?: Logger | undefined;
  readonly limits?: Partial<CloudLimits> | undefined;
  /** Numbers of the link that every VM is to have. */
  readonly settings?: LinkSettings | undefined;
}

export interface Cloud extends AsyncDisposable {
  readonly url: string;
  readonly store: Store;
  readonly fleet: Fleet;
  /** The same as `hl-cloud enroll`. */
  enroll(instanceId: string, options?: { ttlSeconds?: number; workspaceId?: string }): Promise<string>;
  /** The same as `hl-cloud operator add --replace`. */
  addOperator(name: string, role: OperatorRole): Promise<string>;
  /** For connections from now on: the certificates have been replaced. */
  setTls(tls: TlsOptions): void;
  /** Cuts what a stop in progress still waits for. */
  force(): void;
}

/** Builds and starts everything, in this order; disposing stops it in the reverse order. */
export async function startCloud(options: CloudOptions): Promise<Cloud> {
  const { home, tls, clock = systemClock, logger = silentLogger } = options;
  const runId = randomUUID();
  const limits: CloudLimits = { ...defaultLimits, ...options.limits };
  judgeLimits(limits);
  const address = judgeAddress(options.listen, tls);
  const wireError: WireErrorOptions = {
    stackTrace: false,
    onInternal: (error, requestId) => logger.error({ error, request: requestId }, "a request failed unexpectedly"),
  };
  await using stack = new AsyncDisposableStack();

  const store = stack.use(openSqliteStore(home));
  stack.use(lockHome(home));
  const keys = await loadKeys(home);
  const admission = vmLimits(limits, clock);
  const admitConnection = (instanceId: string): void =>
    admitInstance(instanceId, admission.connectionsOfInstance, admission.connections);
  const feed = new EventFeed();
  const { identityAlarmMs } = limits;
  const onStored = (instanceId: string): void => feed.published(instanceId);
  const security = new SecurityEvents({ events: store.events, clock, logger, identityAlarmMs, onStored });
  const credentials = composeCredentials({
    store: store.credentials,
    keys,
    clock,
    logger,
    limits,
    admission,
    security,
    fleet: () => fleet,
  });
  const operators = new Operators(store.operators, clock);
  const leases = new Leases({
    clock,
    leaseMs: (heartbeatSeconds) => leaseMs(limits, heartbeatSeconds),
    assumedSeconds: secondsFor((await store.instances.ids()).length, limits),
  });
  const presence = stack.use(
    new Presence({ store: store.instances, leases, clock, logger, flushIntervalMs: limits.presenceFlushMs }),
  );
  const maintenance = stack.use(
    new Maintenance({
      store,
      clock,
      logger,
      ...limits,
      familyLifeMs: Math.max(limits.familyLifeMs, limits.refreshLifeMs, limits.accessTokenSeconds * 1000),
      expireRequests: (limit) => requests.expireForgotten(limit),
      onForgotten: (instanceId) => {
        presence.forget(instanceId);
        security.forget(instanceId);
        fleet.forget(instanceId);
      },
    }),
  );
  const counters = new Counters();
  const requests: RequestService = new RequestService({
    requests: store.requests,
    instances: store.instances,
    fleet: () => fleet,
    clock,
    logger,
    queueLifeMs: limits.queueLifeMs,
    returnWithinMs: limits.returnWithinMs,
  });
  const { inFlightPerInstanceMax: inFlightMax, requestsPerInstanceMax: requestsMax } = limits;
  const fleet: Fleet = new Fleet({
    clock,
    logger,
    limits: { inFlightMax, requestsMax, drainSpreadSeconds: limits.drainSpreadSeconds, livenessMs: limits.livenessMs },
    onIdentityInUse: (instanceId, facts) => {
      void security.identityInUse(instanceId, facts);
      store.instances.setIdentityInUse(instanceId, clock.wallMs()).catch((error: unknown) => {
        logger.error({ instance: instanceId, error }, "a copied identity could not be recorded");
      });
    },
    recover: (instanceId) => requests.recover(instanceId),
    onDetached: (instanceId) => leases.heardOf(instanceId),
  });

  const app = httpServer({ clock, wireError, bodyBytesMax: limits.bodyBytesMax, tls });
  const guard = new OperatorGuard(operators);
  const limit = new ConnectionLimit(limits.connectionsPerOperatorMax);
  const stopping = new AbortController();
  const vmSettings = new VmSettings({
    settings: options.settings,
    viewerFlushSeconds: limits.viewerFlushSeconds,
    connection: (instanceId) => fleet.connection(instanceId),
  });
  const pace = new Pace({ limits, leases, connectedCount: () => fleet.connectedCount });
  const methods = new VmMethods({
    store,
    credentials,
    presence,
    feed,
    counters,
    clock,
    logger,
    wireError,
    runId,
    registrations: admission.registrationsOfInstance,
    pace,
    eventBatchSize: options.settings?.batch_size ?? limits.eventBatchSize,
  });
  const clientCertificate = tls?.ca !== undefined;
  const requireSole = fleet.requireSole.bind(fleet);
  const { pingIntervalMs, deadAfterMs, helloWithinMs, streamQueueBytesMax } = limits;
  const beat = { pingIntervalMs, deadAfterMs };
  const channel: CommandChannelOptions = {
    fleet,
    instances: store.instances,
    events: store.events,
    presence,
    clock,
    logger,
    wireError,
    helloWithinMs,
    ...beat,
    welcome: {
      cloud_run_id: runId,
      heartbeatSeconds: (instanceId) => pace.welcome(instanceId),
      limits: { message_bytes_max: limits.messageBytesMax, in_flight_max: inFlightMax },
      settings: (instanceId) => vmSettings.of(instanceId),
    },
  };
  vmRoutes(app, {
    methods,
    credentials,
    clock,
    clientCertificate,
    requireSole,
    channel,
    limits: admission,
    admitConnection,
    stopping: stopping.signal,
  });
  const revoke = credentials.revoke.bind(credentials);
  instanceRoutes(app, { instances: store.instances, fleet, presence, leases, guard, revoke });
  eventRoutes(app, {
    instances: store.instances,
    events: store.events,
    feed,
    guard,
    limit,
    view: (instanceId) => vmSettings.view(instanceId),
    clock,
    stopping: stopping.signal,
  });
  approvalRoutes(app, { instances: store.instances, fleet, requests, guard, clock });
  requestRoutes(app, { requests, guard, clock, wireError });
  metricsRoute(app, {
    instances: store.instances,
    fleet,
    leases,
    presence,
    limits: admission,
    counters,
    guard,
    clock,
  });
  publicRoutes(app, keys);
  dashboardRoutes(app);
  await app.ready();
  const shutdown = new Shutdown(app.server, clock).watch();
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
      admitConnection,
      channel,
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

  const onChanged = async (): Promise<void> => {
    feed.publishedAny();
    credentials.recheck(await store.instances.list());
  };
  stack.use(await listenForChanges({ home, logger, onChanged }));

  await presence.start();
  await maintenance.start();
  await app.listen({ host: address.host, port: address.port, backlog: acceptBacklog });
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
    setTls: (changed) => {
      if (app.server instanceof TlsServer) app.server.setSecureContext({ minVersion: "TLSv1.3", ...changed });
    },
    force,
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}

function goodbye(socket: { once(event: "close", listener: () => void): unknown }): Promise<void> {
  return new Promise((resolve) => socket.once("close", () => resolve()));
}
