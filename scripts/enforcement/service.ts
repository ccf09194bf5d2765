/** The local interfaces, health and logs. */
import { type Enforced, type Pair, unit, whole, live, restart, clients } from "./proofs.ts";

const measured: Pair = ["health/monitor", "settings that change hold at once: whether there are rounds, how often"];
const threshold: Pair = ["health/monitor", "a threshold alerts at the second check in a row"];
const health: Pair = [live, "health_monitoring"];
const errorRate: Pair = ["health/error-rate", "the share of requests that failed by our fault"];
const rounds: Pair = ["health/measured", "above in two rounds in a row is a condition"];
const ending: Pair = ["health/certificates", "told from the threshold on, critical from its end on"];
const skewed: Pair = ["compose/conditions", "a clock that differs by more than the threshold, either way"];
const budget: Pair = ["tests/system/self-healing", "kill -9 of the runner: started again within the budget"];
const leftAlone: Pair = [
  "tests/system/self-healing",
  "restart_on_failure: false leaves the runner alone, until it is switched on",
];
const cutLogs: Pair = ["tests/system/self-healing", "logs that grow are cut back, but for the audit's"];
const switchedOff: Pair = ["health/healing", "switched off nothing is begun"];
const delayed: Pair = ["health/healing", "the first attempt comes at once, the next after the delay"];
const logFile: Pair = [restart, "logging: file, format, size, number and packing; the audit has its own file"];
const packed: Pair = ["logging/pino-logger", "max_size, backup_count, compression: rotated, packed, and so many kept"];
const byTime: Pair = ["logging/pino-logger", "log_rotation: by its frequency where it is enabled"];
const partLog: Pair = [
  "logging/pino-logger",
  "logs of parts: their lines at a level of their own, whatever the daemon's is",
];
const auditSize: Pair = [
  "logging/audit-log",
  "max_size, backup_count and compression: rotated, packed, and so many kept",
];
const auditTime: Pair = ["logging/audit-log", "frequency and retention_days: a new file in time, and the old ones go"];
const off: Pair = [restart, "local_api.http_enabled and logging.audit.enabled: off is off"];
const places: Pair = [restart, "local_api: socket, address, port and token are where they are told to be"];
const connections: Pair = [live, "local_api: connections, origins and the time to log in"];
const composedApi: Pair = ["compose/api", "the limits of local_api hold as configured, and as changed from then on"];

export const serviceRows: Readonly<Record<string, Enforced>> = {
  "daemon.json:/health_monitoring/enabled": unit("health/monitor.ts", measured),
  "daemon.json:/health_monitoring/check_interval": unit("health/monitor.ts", measured),
  "daemon.json:/health_monitoring/metrics_collection": whole("compose/api.ts", health),
  "daemon.json:/health_monitoring/alerts/cpu_threshold": unit("health/monitor.ts", threshold),
  "daemon.json:/health_monitoring/alerts/memory_threshold": whole("health/monitor.ts", health),
  "daemon.json:/health_monitoring/alerts/disk_threshold": whole("health/monitor.ts", health),
  "daemon.json:/health_monitoring/alerts/load_threshold": unit("health/monitor.ts", threshold),
  "daemon.json:/health_monitoring/alerts/error_rate_threshold": unit("health/error-rate.ts", errorRate),
  "daemon.json:/health_monitoring/alerts/loop_delay_threshold_ms": unit("health/measured.ts", rounds),
  "daemon.json:/health_monitoring/alerts/clock_skew_threshold_seconds": unit("compose/conditions.ts", skewed),
  "daemon.json:/health_monitoring/alerts/certificate_threshold_days": unit("health/certificates.ts", ending),
  "daemon.json:/health_monitoring/alerts/log_size_threshold_mb": whole("compose/healing.ts", cutLogs),
  "daemon.json:/health_monitoring/self_healing/enabled": unit("health/healing.ts", switchedOff),
  "daemon.json:/health_monitoring/self_healing/restart_on_failure": whole("compose/healing.ts", leftAlone),
  "daemon.json:/health_monitoring/self_healing/max_restart_attempts": whole("health/healing.ts", budget),
  "daemon.json:/health_monitoring/self_healing/restart_delay": unit("health/healing.ts", delayed),

  "daemon.json:/logging/level": whole("logging/log-levels.ts", [live, "logging.level and levels"]),
  "daemon.json:/logging/levels": whole("logging/log-levels.ts", [live, "logging.level and levels"]),
  "daemon.json:/logging/format": whole("logging/pino-logger.ts", logFile),
  "daemon.json:/logging/output": whole("logging/pino-logger.ts", [
    restart,
    "logging.output: to the standard error, and to no file",
  ]),
  "daemon.json:/logging/file": whole("logging/pino-logger.ts", logFile),
  "daemon.json:/logging/max_size": whole("logging/pino-logger.ts", logFile),
  "daemon.json:/logging/backup_count": whole("logging/pino-logger.ts", logFile),
  "daemon.json:/logging/compression": whole("logging/pino-logger.ts", logFile, packed),
  "daemon.json:/logging/structured_logging": whole("logging/pino-logger.ts", [
    "logging/pino-logger",
    "structured_logging false: facts are words of the message",
  ]),
  "daemon.json:/logging/log_rotation/enabled": whole("logging/pino-logger.ts", byTime),
  "daemon.json:/logging/log_rotation/frequency": whole("logging/pino-logger.ts", byTime),
  "daemon.json:/logging/log_rotation/retention_days": whole("logging/pino-logger.ts", [
    "logging/pino-logger",
    "log_rotation: rotated files over their age are removed",
  ]),
  "daemon.json:/logging/files/api_requests/enabled": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/api_requests/file": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/api_requests/level": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/claude_stdio/enabled": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/claude_stdio/file": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/claude_stdio/level": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/events/enabled": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/events/file": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/events/level": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/health/enabled": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/health/file": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/health/level": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/recovery/enabled": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/recovery/file": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/files/recovery/level": whole("logging/pino-logger.ts", partLog),
  "daemon.json:/logging/audit/enabled": whole("logging/audit-log.ts", off),
  "daemon.json:/logging/audit/file": whole("logging/audit-log.ts", logFile),
  "daemon.json:/logging/audit/max_size": whole("logging/audit-log.ts", auditSize),
  "daemon.json:/logging/audit/backup_count": whole("logging/audit-log.ts", auditSize),
  "daemon.json:/logging/audit/compression": whole("logging/audit-log.ts", auditSize),
  "daemon.json:/logging/audit/frequency": whole("logging/audit-log.ts", auditTime),
  "daemon.json:/logging/audit/retention_days": whole("logging/audit-log.ts", auditTime),

  "daemon.json:/local_api/http_enabled": whole("compose/api.ts", off),
  "daemon.json:/local_api/http_host": whole("compose/api.ts", places),
  "daemon.json:/local_api/http_port": whole("compose/api.ts", places),
  "daemon.json:/local_api/tls_certificate": whole("api/listener-tls.ts", clients),
  "daemon.json:/local_api/tls_key": whole("api/listener-tls.ts", clients),
  "daemon.json:/local_api/tls_client_ca": whole("api/listener-tls.ts", clients),
  "daemon.json:/local_api/tls_client_required": whole("api/listener-tls.ts", [
    "tests/system/https",
    "X2: where a client certificate is required, probes need one too",
  ]),
  "daemon.json:/local_api/socket_path": whole("api/socket-server.ts", places),
  "daemon.json:/local_api/token_file": whole("compose/authentication.ts", places),
  "daemon.json:/local_api/max_connections": whole("api/connection-slots.ts", connections),
  "daemon.json:/local_api/max_pending_requests": unit("api/serving-first.ts", [
    "api/socket-server",
    "max_pending_requests: one more is refused, and an answer frees its place",
  ]),
  "daemon.json:/local_api/login_timeout_seconds": whole("api/connection-guard.ts", composedApi),
  "daemon.json:/local_api/idle_timeout_seconds": whole("api/connection-guard.ts", composedApi),
  "daemon.json:/local_api/allowed_origins": whole("api/origin.ts", connections),
  "daemon.json:/local_api/rate_limiting/requests_per_minute": whole("api/caller-limits.ts", composedApi),
  "daemon.json:/local_api/rate_limiting/burst_limit": whole("api/caller-limits.ts", composedApi),
  "daemon.json:/local_api/rate_limiting/backoff_strategy": unit("api/caller-limits.ts", [
    "api/caller-limits",
    "each strategy is obeyed, and a change of the section holds at once",
  ]),
};
