import type { Config } from "@hl/config/load.ts";
import { tlsPolicy } from "@hl/config/tls-policy.ts";
import type { Clock } from "@hl/core/clock.ts";
import { joined } from "@hl/core/joined.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { CertificateCallers } from "../api/certificate-callers.ts";
import { HttpServer, type HttpServerOptions } from "../api/http-server.ts";
import { listenerTls } from "../api/listener-tls.ts";
import { SessionFactory, type SessionFactoryOptions } from "../api/session.ts";
import { SocketServer } from "../api/socket-server.ts";
import type { HealthMonitor } from "../health/monitor.ts";
import { prometheusText } from "../health/prometheus.ts";
import type { Redactor } from "../redaction/redactor.ts";
import { shownMethod, type Audit } from "./audit.ts";
import { composeAuthentication } from "./authentication.ts";
import type { ComposedOutbound } from "./outbound.ts";
import { publicHealth } from "./health.ts";
import type { LiveConfig } from "./live-config.ts";

export interface ApiPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly monitor: HealthMonitor;
  /** For `recent_errors` of health. */
  readonly noteError: (text: string) => void;
  readonly audit: Audit;
  readonly redactor: Redactor;
  readonly testMode: boolean;
  readonly handlers: SessionFactoryOptions["handlers"];
  readonly outbound: ComposedOutbound;
}

/** One table, one set of handlers and one check for every way in (X3). */
export function composeSessions(ports: ApiPorts): SessionFactory {
  const { config, clock, logger, noteError, audit, redactor, testMode, handlers } = ports;
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
    observe: (record) => {
      logCall(logger, record);
      audit.call(record);
    },
    // Not in the request log: whoever reaches the port could fill it. The audit counts what repeats.
    onRefused: (record) => audit.call(record),
  });
}

/** The ways in on this machine. */
export function composeLocalApi(
  ports: ApiPorts,
  session: SessionFactory,
  limits: TransportLimits,
): { readonly socket: SocketServer; readonly http: HttpServer | undefined } {
  const { config, live, clock, monitor } = ports;
  const local = config.daemon.local_api;
  const shared = live.options({ clock, limits, session }, ({ daemon: { local_api: api } }) => ({
    connectionsMax: api.max_connections,
    inFlightMax: api.max_pending_requests,
    loginTimeoutMs: api.login_timeout_seconds * 1000,
    allowedOrigins: api.allowed_origins,
  }));
  const socket = new SocketServer(joined(shared, { path: local.socket_path }));
  if (!local.http_enabled) return { socket, http: undefined };
  const collects = live.part(({ daemon }) => daemon.health_monitoring.metrics_collection);
  const http = new HttpServer(
    joined(shared, {
      host: local.http_host,
      port: local.http_port,
      ...composeListenerTls(config),
      health: () => publicHealth(monitor.read(false)),
      metrics: () => (collects() ? prometheusText(monitor.read(false)) : undefined),
      openRpc: () => openRpcDocument(daemonMethods),
    }),
  );
  live.follow(
    ({ daemon }) => daemon.local_api.max_connections,
    () => http.limitConnections(),
  );
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

function logCall(logger: Logger, { method, caller, durationMs, error }: CallRecord): void {
  const fields = {
    method: shownMethod(method),
    caller: caller?.subject,
    via: caller?.via,
    ms: Math.round(durationMs * 10) / 10,
  };
  if (error === undefined) {
    logger.debug(fields, "request");
    return;
  }
  const type = error instanceof HlError ? error.type : "internal_error";
  // These quote what the caller called a command, which may be a whole line with a password in it (X4); the audit says which rule it was.
  const quotes = type === "command_blocked" || type === "command_not_allowed" || type === "command_not_found";
  logger.info({ ...fields, error_type: type, error: quotes ? undefined : errorText(error) }, "request failed");
}
