import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import type { WireError } from "@hl/core/rpc/error.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { openRpcDocument } from "@hl/protocol/openrpc.ts";
import { HttpServer } from "../api/http-server.ts";
import { loadLocalToken, localTokenAuthenticator } from "../api/local-token.ts";
import { SessionFactory, type SessionFactoryOptions } from "../api/session.ts";
import { SocketServer } from "../api/socket-server.ts";
import type { HealthMonitor } from "../health/monitor.ts";
import { prometheusText } from "../health/prometheus.ts";
import type { Redactor } from "../redaction/redactor.ts";
import { shownMethod, type Audit } from "./audit.ts";
import { publicHealth } from "./health.ts";

export interface ApiPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly monitor: HealthMonitor;
  /** For `recent_errors` of health. */
  readonly noteError: (text: string) => void;
  readonly audit: Audit;
  readonly redactor: Redactor;
  readonly testMode: boolean;
  readonly handlers: SessionFactoryOptions["handlers"];
}

/** One table, one set of handlers and one check for every way in (X3). */
export function composeSessions(ports: ApiPorts): SessionFactory {
  const { config, clock, logger, noteError, audit, redactor, testMode, handlers } = ports;
  return new SessionFactory({
    handlers,
    authenticate: localTokenAuthenticator(loadLocalToken(config.daemon.local_api.token_file)),
    roles: config.security.authorization.permissions,
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
  });
}

/** The ways in on this machine. */
export function composeLocalApi(
  ports: ApiPorts,
  session: SessionFactory,
  limits: TransportLimits,
): { readonly socket: SocketServer; readonly http: HttpServer | undefined } {
  const { config, clock, monitor } = ports;
  const local = config.daemon.local_api;
  const shared = {
    clock,
    limits,
    connectionsMax: local.max_connections,
    inFlightMax: local.max_pending_requests,
    session,
  };
  const loginTimeoutMs = local.login_timeout_seconds * 1000;
  const socket = new SocketServer({ ...shared, path: local.socket_path, loginTimeoutMs });
  if (!local.http_enabled) return { socket, http: undefined };
  const http = new HttpServer({
    ...shared,
    host: local.http_host,
    port: local.http_port,
    allowedOrigins: local.allowed_origins,
    health: () => publicHealth(monitor.read(false)),
    metrics: () => prometheusText(monitor.read(false)),
    openRpc: () => openRpcDocument(daemonMethods),
  });
  return { socket, http };
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
