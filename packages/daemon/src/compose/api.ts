import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import { joined } from "@hl/core/joined.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { CallerLimits, type CallerRate } from "../api/caller-limits.ts";
import { CertificateCallers } from "../api/certificate-callers.ts";
import type { ConnectionNumbers } from "../api/connection-numbers.ts";
import { ConnectionSlots } from "../api/connection-slots.ts";
import { HttpServer, type HttpServerOptions } from "../api/http-server.ts";
import { listenerTls } from "../api/listener-tls.ts";
import { refusalReports } from "../api/refusal-reports.ts";
import { SessionFactory, type SessionFactoryOptions } from "../api/session.ts";
import { SocketServer } from "../api/socket-server.ts";
import type { ErrorRate } from "../health/error-rate.ts";
import type { MethodDurations } from "../health/method-durations.ts";
import type { HealthMonitor } from "../health/monitor.ts";
import { prometheusText } from "../health/prometheus.ts";
import { InboundRules } from "../network/inbound-rules.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { Audit } from "./audit.ts";
import { composeAuthentication } from "./authentication.ts";
import type { ComposedOutbound } from "./outbound.ts";
import { publicHealth } from "./health.ts";
import type { LiveConfig } from "./live-config.ts";
import { requestLog } from "./request-log.ts";

export interface ApiPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly monitor: HealthMonitor;
  /** For `recent_errors` of health. */
  readonly noteError: (text: string) => void;
  readonly errorRate: ErrorRate;
  readonly audit: Audit;
  readonly redactor: Redactor;
  readonly testMode: boolean;
  readonly handlers: SessionFactoryOptions["handlers"];
  readonly outbound: ComposedOutbound;
  readonly durations: MethodDurations;
  /** Owns what is made here. */
  readonly building: AsyncDisposableStack;
}

export interface LocalApi {
  readonly socket: SocketServer;
  readonly http: HttpServer | undefined;
}

/** One table, one set of handlers and one check for every way in (X3). */
export function composeSessions(ports: ApiPorts): SessionFactory {
  const { config, live, clock, logger, noteError, audit, redactor, testMode, handlers, durations } = ports;
  const requests = ports.building.use(requestLog(logger.child({ part: "api" }), clock));
  return new SessionFactory({
    handlers,
    authenticate: composeAuthentication(ports),
    roles: config.security.authorization.permissions,
    checksRoles: config.security.authorization.rbac_enabled,
    clock,
    wireError: {
      stackTrace: testMode,
      redact: (error) => redactor.redact(error) as WireError,
      onInternal: (error, requestId) => {
        const stack = error instanceof Error ? error.stack : String(error);
        logger.error({ request_id: requestId, error: stack }, "a request failed unexpectedly");
        noteError(errorText(error));
      },
    },
    limits: new CallerLimits(live.part(callerRateOf)(), clock),
    observe: (record) => {
      durations.observe(record);
      requests.call(record);
      ports.errorRate.call(record);
      audit.call(record);
    },
  });
}

/** The ways in on this machine. */
export function composeLocalApi(ports: ApiPorts, session: SessionFactory, limits: TransportLimits): LocalApi {
  const { config, live, clock, logger, monitor, durations, building } = ports;
  const local = config.daemon.local_api;
  const connections = live.part(connectionLimitsOf);
  const slots = new ConnectionSlots(connections().connectionsMax);
  const numbers = { ...connections().numbers };
  const { report } = building.use(refusalReports(logger, clock));
  const shared = { clock, limits, slots, numbers, session, report };
  const socket = building.use(new SocketServer({ ...shared, path: local.socket_path }));
  const collects = live.part(({ daemon }) => daemon.health_monitoring.metrics_collection);
  const http = local.http_enabled
    ? building.use(
        new HttpServer(
          joined(
            live.options(shared, ({ daemon }) => ({ allowedOrigins: daemon.local_api.allowed_origins })),
            {
              host: local.http_host,
              port: local.http_port,
              ...composeListenerTls(config),
              inbound: new InboundRules({ firewallRules: config.security.network_security.firewall_rules }),
              health: () => publicHealth(monitor.read(false)),
              metrics: () => (collects() ? prometheusText(monitor.read(false)) + durations.text() : undefined),
              openRpc: () => openRpcDocument(daemonMethods),
            },
          ),
        ),
      )
    : undefined;
  live.follow(connectionLimitsOf, (changed) => {
    slots.change(changed.connectionsMax);
    Object.assign(numbers, changed.numbers);
    http?.numbersChanged();
  });
  live.follow(callerRateOf, (rate) => session.limits.change(rate));
  return { socket, http };
}

/** TLS of the HTTP port, and who its client certificates are. Throws where a file of it cannot be used. */
function composeListenerTls(config: Config): Pick<HttpServerOptions, "tls" | "certificates"> {
  const { tls_certificate: certificate, tls_key: key, tls_client_ca: clientCa } = config.daemon.local_api;
  if (certificate === undefined || key === undefined) return {};
  const { minVersion, maxVersion, ciphers } = tlsPolicy(config);
  const files = { certificate, key, clientCa, clientRequired: config.daemon.local_api.tls_client_required };
  const isMethod = config.security.authentication.methods.includes("certificate");
  return {
    tls: listenerTls(files, { minVersion, maxVersion, ciphers }),
    certificates: isMethod ? new CertificateCallers(config.security.authorization.certificate_roles) : undefined,
  };
}

function callerRateOf({ daemon }: Config): CallerRate {
  const { rate_limiting: rate } = daemon.local_api;
  return {
    requestsPerMinute: rate.requests_per_minute,
    burst: rate.burst_limit,
    strategy: rate.backoff_strategy,
  };
}

function connectionLimitsOf({ daemon }: Config): {
  readonly connectionsMax: number;
  readonly numbers: ConnectionNumbers;
} {
  const { local_api: local } = daemon;
  return {
    connectionsMax: local.max_connections,
    numbers: {
      inFlightMax: local.max_pending_requests,
      loginTimeoutMs: local.login_timeout_seconds * 1000,
      idleTimeoutMs: local.idle_timeout_seconds * 1000,
    },
  };
}
