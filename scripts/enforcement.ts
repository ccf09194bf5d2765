// One row for each key of the configuration, so more than 300 lines: it is a table.
/**
 * What each key of daemon.json and security.json does: the module that obeys it, and the tests that fail if it did nothing. docs/enforcement.md is
 * rendered from here and the declarations; tests/tidy/enforcement.test.ts looks the modules and tests up.
 */
import type { Section, Shape } from "@hl/config/declare.ts";
import { toPointer } from "@hl/config/problem.ts";
import { daemonFile, keysBelow, securityFile } from "@hl/config/schema.ts";

export interface Proof {
  readonly file: string;
  /** The title, or a part of it that no other test of the file has. */
  readonly title: string;
}

export interface Enforced {
  readonly by: string;
  readonly proofs: readonly Proof[];
  /** The proofs hand the value to its module: that the configured one gets there is shown for all such keys in `readByAll`. */
  readonly isUnit: boolean;
}

/** The two tests over all keys: each is read, and each live one where it may change. */
export const readByAll: Readonly<Record<"live" | "restart", Proof>> = {
  live: {
    file: "packages/daemon/src/compose/live-keys.test.ts",
    title: "every live key is read where it may change, and none is read only once",
  },
  restart: { file: "packages/daemon/src/compose/live-keys.test.ts", title: "every other key is read too" },
};

type Pair = readonly [file: string, title: string];

const inDaemon = (path: string): string => (/^(packages|tests)\//.test(path) ? path : `packages/daemon/src/${path}`);

const row = (isUnit: boolean, by: string, pairs: readonly Pair[]): Enforced => ({
  by: inDaemon(by),
  isUnit,
  proofs: pairs.map(([file, title]) => ({ file: inDaemon(`${file}.test.ts`), title })),
});

/** Shown with the configuration as a whole: by the program, or by what takes the loaded configuration. */
const whole = (by: string, ...pairs: readonly Pair[]): Enforced => row(false, by, pairs);
/** Shown of the module alone. */
const unit = (by: string, ...pairs: readonly Pair[]): Enforced => row(true, by, pairs);

const live = "tests/system/live-config";
const restart = "tests/system/restart-keys";
const crossChecks = "packages/config/src/cross-checks";

const named: Pair = [restart, "daemon: what it is called is told by system/info"];
const window: Pair = ["cloud/retry", "C3: the window doubles up to its cap, the level rises with it"];
const refused: Pair = [
  "cloud/retry",
  "C3: refused credentials are renewed once, then asked with from 60 s up to 15 min",
];
const revoked: Pair = ["cloud/retry", "C3: a revoked VM asks again after 5 min, doubling to an hour"];
const squeezed: Pair = [
  "cloud/http",
  "large bodies are compressed, small ones and those of who does not want it are not",
];
const squeezing: Pair = ["cloud/http", "compressing begins at the size and has the level that are configured"];
const polls: Pair = ["tests/system/link", "C1, C2: behind a proxy that refuses WebSockets everything goes over polls"];
const beat: Pair = ["cloud/heartbeat", "a configured interval and limits that change hold from the next heartbeat on"];
const silence: Pair = [
  "packages/core/src/rpc/websocket",
  "C3: a silent peer is pinged after each interval, and dead exactly at deadAfterMs",
];
const slept: Pair = [
  "cloud/channel",
  "C3: after a sleep the channel is asked at once; without an answer it is opened anew",
];
const started: Pair = [live, "claude_integration: whether there are agents, how many, and which program"];
const delays: Pair = [
  "claude/restart-policy",
  "A2: delays double from restart_delay to a minute; after max_restart_attempts",
];
const cut: Pair = [
  "tests/system/agent-transcript",
  "a large tool result is cut with a count, and what is over the limit of an agent is told as a gap",
];
const reconfigured: Pair = ["tests/system/approvals", "SIGHUP: new rules and a new time limit hold at once"];
const commands: Pair = [
  live,
  "process_management.max_processes, max_reply_bytes, stop_grace_seconds and what finished commands may take",
];
const policy: Pair = [live, "process_management.allowed_commands, blocked_commands and environment"];
const pruned: Pair = [
  "commands/retention",
  "P7: by age, by bytes and by number, exactly at each limit, the oldest first",
];
const limit = (key: string): Pair => [live, `process_management.${key}`];
const taken: Pair = [live, "event_streaming: what is taken and what is told"];
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
const bothFiles: Pair = [crossChecks, "the policy is the stricter of both files"];
const held: Pair = [
  "cloud/tls",
  "X2: authority, name, pins and client certificate hold for requests and for the command channel",
];
const mutual: Pair = [
  "tests/system/link-tls",
  "X2: mutual TLS alone enrols a VM under the name in its certificate; pins decide",
];
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
const clients: Pair = ["tests/system/https", "X3: hl-client over https: as whom its certificate names"];
const connections: Pair = [live, "local_api: connections, origins and the time to log in"];
const composedApi: Pair = ["compose/api", "the limits of local_api hold as configured, and as changed from then on"];
const callers = "tests/system/callers";
const jwt: Pair = [callers, "X3: a JWT is a caller on every interface, with the role that it names and no more"];
const issued: Pair = ["auth/jwt-authenticator", "a token of the issuer: its subject, its role, and for how long"];
const ages: Pair = [
  "auth/jwt-authenticator",
  "the clocks may differ by the configured skew, and the life may be exactly",
];
const certificatePlace: Pair = [
  crossChecks,
  "the client certificate is where either file says; two places are a problem",
];
const hidden: Pair = [restart, "redaction.values and patterns: what is named is in no event"];
const pace = "cloud/request-pace";

export const enforcement: Readonly<Record<string, Enforced>> = {
  "daemon.json:/daemon/instance_id": whole("compose/cloud-identity.ts", [
    "tests/system/link-identity",
    "C4: a stolen refresh token that was replaced lets nobody in",
  ]),
  "daemon.json:/daemon/workspace_id": whole("system/system-info.ts", named),
  "daemon.json:/daemon/version": whole("system/system-info.ts", named),
  "daemon.json:/daemon/environment": whole("system/system-info.ts", named),

  "daemon.json:/cloud_api/base_url": whole("compose/cloud.ts", polls),
  "daemon.json:/cloud_api/endpoints/register": unit("cloud/identity.ts", [
    "cloud/identity",
    "the path of registration is the configured one",
  ]),
  "daemon.json:/cloud_api/auth/method": whole("compose/cloud.ts", mutual),
  "daemon.json:/cloud_api/auth/token_file": unit("cloud/identity.ts", [
    "cloud/identity",
    "C4: a registration whose answer was lost, or that broke between its files, is repeated with the same token",
  ]),
  "daemon.json:/cloud_api/auth/refresh_token_file": unit("cloud/identity.ts", [
    "cloud/identity",
    "C4: a refresh that is lost before, at or after the cloud is repeated with the same rotation",
  ]),
  "daemon.json:/cloud_api/auth/enrollment_token_file": unit("cloud/identity.ts", [
    "cloud/identity",
    "without a token to enrol with the error says where to put one; a fenced VM enrols with a new one",
  ]),
  "daemon.json:/cloud_api/auth/cert_file": unit("compose/outbound.ts", held, certificatePlace),
  "daemon.json:/cloud_api/auth/key_file": unit("compose/outbound.ts", held, certificatePlace),
  "daemon.json:/cloud_api/connection/timeout": unit("cloud/http.ts", [
    "cloud/http",
    "a request has a second more for each 64 KiB of its body that has begun",
  ]),
  "daemon.json:/cloud_api/connection/retry_delay": unit("cloud/retry.ts", window),
  "daemon.json:/cloud_api/connection/max_retry_delay": unit("cloud/retry.ts", window),
  "daemon.json:/cloud_api/connection/reconnect_spread": unit("cloud/channel.ts", [
    "cloud/channel",
    "C3: a loss without a word waits for its place in the window",
  ]),
  "daemon.json:/cloud_api/connection/drain_spread_max": unit("cloud/channel.ts", [
    "cloud/channel",
    "C3: a loss without a word waits for its place in the window, an announced one for its place in the spread",
  ]),
  "daemon.json:/cloud_api/connection/healthy_after": unit("cloud/retry.ts", [
    "cloud/retry",
    "C3: no success resets the back-off before it has lasted",
  ]),
  "daemon.json:/cloud_api/connection/retry_after_max": unit("cloud/http.ts", [
    "cloud/http",
    "429 and 503 say how long to wait; the wait is bounded on both sides",
  ]),
  "daemon.json:/cloud_api/connection/refused_retry_delay": unit("cloud/retry.ts", refused),
  "daemon.json:/cloud_api/connection/refused_retry_delay_max": unit("cloud/retry.ts", refused),
  "daemon.json:/cloud_api/connection/revoked_retry_delay": unit("cloud/retry.ts", revoked),
  "daemon.json:/cloud_api/connection/revoked_retry_delay_max": unit("cloud/retry.ts", revoked),
  "daemon.json:/cloud_api/connection/connect_timeout": unit("network/outbound.ts", [
    "network/outbound",
    "timeoutMs: at exactly that time it is over, and no timer stays",
  ]),
  "daemon.json:/cloud_api/connection/max_connections": unit("network/http-client.ts", [
    "network/http-client",
    "connectionsMax: one request more than connections waits for the end of another",
  ]),
  "daemon.json:/cloud_api/connection/compression": unit("cloud/http.ts", squeezed),
  "daemon.json:/cloud_api/connection/compression_level": unit("cloud/http.ts", squeezing),
  "daemon.json:/cloud_api/connection/compression_bytes_min": unit("cloud/http.ts", squeezing),
  "daemon.json:/cloud_api/connection/answers_kept_days": unit("store/inbox.ts", [
    "store/inbox",
    "P7: pruned by age and by number, the oldest first",
  ]),
  "daemon.json:/cloud_api/connection/answers_kept_max": unit("store/inbox.ts", [
    "store/inbox",
    "P7: pruned by age and by number, the oldest first",
  ]),
  "daemon.json:/cloud_api/connection/long_poll_after": unit("cloud/channel-paths.ts", polls),
  "daemon.json:/cloud_api/connection/long_poll_wait": unit("cloud/channel-paths.ts", polls),
  "daemon.json:/cloud_api/connection/websocket_retry": whole("cloud/channel-paths.ts", polls),
  "daemon.json:/cloud_api/connection/heartbeat_interval": unit("cloud/heartbeat.ts", beat),
  "daemon.json:/cloud_api/connection/heartbeat_interval_min": unit("cloud/heartbeat.ts", beat),
  "daemon.json:/cloud_api/connection/heartbeat_interval_max": unit("cloud/heartbeat.ts", beat),
  "daemon.json:/cloud_api/connection/ping_interval": unit("cloud/channel-paths.ts", silence),
  "daemon.json:/cloud_api/connection/dead_after": unit("cloud/channel-paths.ts", silence),
  "daemon.json:/cloud_api/connection/clock_jump": unit("cloud/clock-watch.ts", [
    "cloud/clock-watch",
    "C3: a jump of the wall clock is told once with its size",
  ]),
  "daemon.json:/cloud_api/connection/resume_jump": unit("cloud/channel.ts", slept),
  "daemon.json:/cloud_api/connection/resume_pong": unit("cloud/channel.ts", slept),
  "daemon.json:/cloud_api/rate_limiting/requests_per_minute": unit("cloud/request-pace.ts", [
    pace,
    "a burst goes at once, the others one a second in their order",
  ]),
  "daemon.json:/cloud_api/rate_limiting/burst_limit": unit("cloud/request-pace.ts", [
    pace,
    "a burst goes at once, the others one a second in their order",
  ]),
  "daemon.json:/cloud_api/rate_limiting/backoff_strategy": unit("cloud/request-pace.ts", [
    pace,
    "refusals in a row that say no time wait longer by the strategy, within the limit",
  ]),

  "daemon.json:/claude_integration/enabled": whole("claude/agents.ts", started),
  "daemon.json:/claude_integration/binary_path": whole("claude/launch.ts", started),
  "daemon.json:/claude_integration/config_path": whole("claude/agent-launcher.ts", [
    "tests/agents/acp",
    "A1, P3: claude-agent-acp: turns, a crash of the daemon in one",
  ]),
  "daemon.json:/claude_integration/protocol": whole("claude/probe.ts", [
    "tests/system/agent-jsonrpc",
    "A1, A2, P3: start, relay, a crash in a turn",
  ]),
  "daemon.json:/claude_integration/args": whole("claude/launch.ts", [
    "tests/agents/acp",
    "a third agent, qwen-code: a conversation with a tool",
  ]),
  "daemon.json:/claude_integration/environment": whole("claude/agent-launcher.ts", [
    "tests/system/agent",
    "A1: start, relay, stop: the turn is answered",
  ]),
  "daemon.json:/claude_integration/key_proxy": whole("compose/key-proxy.ts", [
    "tests/agents/key-proxy",
    "without the proxy the same tool finds the key",
  ]),
  "daemon.json:/claude_integration/start_timeout_seconds": whole("claude/agent-launcher.ts", [
    "tests/system/agent-bad-start",
    "1201 with the last lines of stderr",
  ]),
  "daemon.json:/claude_integration/stdio_timeout": unit("claude/handlers.ts", [
    "tests/system/agent",
    "A1: a relay that is not answered in time is 1203, and the next one works",
  ]),
  "daemon.json:/claude_integration/restart_on_failure": unit("claude/restart-policy.ts", [
    "claude/supervised-agent",
    "A2: with restart_on_failure off it has ended, and a start that fails is not tried again",
  ]),
  "daemon.json:/claude_integration/max_restart_attempts": unit("claude/restart-policy.ts", delays),
  "daemon.json:/claude_integration/restart_delay": unit("claude/restart-policy.ts", delays),
  "daemon.json:/claude_integration/health_check_interval": unit("claude/liveness.ts", [
    "claude/liveness",
    "an interval and a time for an answer that change hold from the next round on",
  ]),
  "daemon.json:/claude_integration/ping_timeout_seconds": unit("claude/liveness.ts", [
    "claude/liveness",
    "an interval and a time for an answer that change hold from the next round on",
  ]),
  "daemon.json:/claude_integration/memory_alert_mb": unit("claude/agent-watch.ts", [
    "claude/supervised-agent",
    "memory of an agent's tree is seen at each ping, and told when it passes the limit",
  ]),
  "daemon.json:/claude_integration/max_agents": unit("claude/agents.ts", [
    "claude/supervised-agent",
    "a session has one process: a start that would go on with that of a live agent is refused, and starts count as agents",
  ]),
  "daemon.json:/claude_integration/communication/encoding": whole(
    "packages/config/src/sections/claude-integration.ts",
    [crossChecks, "messages to agents are UTF-8 and not compressed, and nothing else is taken for granted"],
  ),
  "daemon.json:/claude_integration/communication/compression": whole(
    "packages/config/src/sections/claude-integration.ts",
    [crossChecks, "messages to agents are UTF-8 and not compressed, and nothing else is taken for granted"],
  ),
  "daemon.json:/claude_integration/communication/max_message_bytes": unit("claude/agents.ts", [
    "claude/stream-json-events",
    "P7: a result longer than lineBytesMax is skipped, and the relay ends saying so",
  ]),
  "daemon.json:/claude_integration/communication/max_queued_messages": whole("claude/agents.ts", [
    "tests/system/agent-bad-start",
    "A1: 1203 where the answer to a message comes too late, which reaches nobody, and 1205 where too many wait",
  ]),
  "daemon.json:/claude_integration/approvals/timeout_seconds": whole("compose/approvals.ts", reconfigured),
  "daemon.json:/claude_integration/approvals/default": unit("compose/approvals.ts", [
    "approvals/approvals",
    "A3: nobody answers in time: the default holds, but never for a question to a person",
  ]),
  "daemon.json:/claude_integration/approvals/rules": whole("compose/approvals.ts", reconfigured),
  "daemon.json:/claude_integration/transcript/max_bytes": whole("compose/transcripts.ts", cut),
  "daemon.json:/claude_integration/transcript/max_event_bytes": whole("compose/transcripts.ts", cut),

  "daemon.json:/process_management/max_processes": whole("commands/commands.ts", commands),
  "daemon.json:/process_management/process_timeout": whole("commands/plan.ts", limit("process_timeout")),
  "daemon.json:/process_management/idle_timeout": whole("commands/plan.ts", limit("idle_timeout")),
  "daemon.json:/process_management/stop_grace_seconds": whole("commands/plan.ts", commands),
  "daemon.json:/process_management/cleanup_interval": unit("commands/retention.ts", [
    "commands/retention",
    "pruner: at its start, every interval, and at once when asked",
  ]),
  "daemon.json:/process_management/finished_retention_seconds": whole("commands/retention.ts", [
    "tests/system/lessons-state",
    "lesson 23: P7: finished commands go after their retention",
  ]),
  "daemon.json:/process_management/finished_retention_commands": whole("commands/retention.ts", commands),
  "daemon.json:/process_management/finished_retention_bytes": unit("commands/retention.ts", pruned),
  "daemon.json:/process_management/log_bytes_max": whole("commands/plan.ts", limit("log_bytes_max")),
  "daemon.json:/process_management/max_reply_bytes": whole("commands/handlers.ts", commands),
  "daemon.json:/process_management/workspace_idle_seconds": whole("workspace/workspace.ts", [
    "tests/system/files",
    "it is started by the first call, once for many at a time, stopped when idle, and started again",
  ]),
  "daemon.json:/process_management/default_user": whole("compose/runner.ts", [
    "tests/vm/limits",
    "says what is enforced",
  ]),
  "daemon.json:/process_management/runner_directory": whole("compose/runner.ts", [
    "tests/system/upgrade",
    "twice: the command goes on, its output is whole",
  ]),
  "daemon.json:/process_management/runner_state_directory": whole("compose/runner.ts", [
    "tests/system/upgrade",
    "twice: the command goes on, its output is whole",
  ]),
  "daemon.json:/process_management/temp_dir": whole("commands/plan.ts", [
    restart,
    "process_management.temp_dir and the first of allowed_paths",
  ]),
  "daemon.json:/process_management/environment": whole("commands/plan.ts", policy),
  "daemon.json:/process_management/resource_limits/max_child_processes": whole(
    "commands/plan.ts",
    limit("resource_limits.max_child_processes"),
  ),
  "daemon.json:/process_management/resource_limits/max_memory_mb": whole("commands/plan.ts", [
    "tests/system/limits",
    "P2: who takes more memory than max_memory_mb ends with reason oom",
  ]),
  "daemon.json:/process_management/resource_limits/max_cpu_percent": whole("commands/plan.ts", [
    "tests/vm/limits",
    "holds a busy command to its share of the processors",
  ]),
  "daemon.json:/process_management/resource_limits/max_open_files": whole(
    "commands/plan.ts",
    limit("resource_limits.max_open_files"),
  ),
  "daemon.json:/process_management/resource_limits/max_execution_time": whole(
    "commands/plan.ts",
    limit("resource_limits.max_execution_time"),
  ),
  "daemon.json:/process_management/allowed_commands": whole("commands/policy.ts", policy),
  "daemon.json:/process_management/blocked_commands": whole("commands/policy.ts", policy),

  "daemon.json:/event_streaming/enabled": whole("cloud/uplink.ts", [
    live,
    "event_streaming.enabled: events wait while it is off, and go out when it is on again",
  ]),
  "daemon.json:/event_streaming/batch_size": unit("cloud/uplink.ts", [
    "cloud/uplink",
    "S1, S3: events go in order, in batches, with epoch and sequence number",
  ]),
  "daemon.json:/event_streaming/batch_bytes": unit("cloud/uplink.ts", [
    "cloud/uplink",
    "a batch stays within its bytes, and an event larger than a batch goes alone",
  ]),
  "daemon.json:/event_streaming/flush_interval": unit("cloud/uplink.ts", [
    "cloud/uplink",
    "a small batch waits for the flush interval, a full one and the first event after a rest go at once",
  ]),
  "daemon.json:/event_streaming/critical_flush_interval": unit("cloud/uplink.ts", [
    "cloud/uplink",
    "what is critical waits for its own, shorter interval",
  ]),
  "daemon.json:/event_streaming/max_queue_size": whole("events/events.ts", taken),
  "daemon.json:/event_streaming/max_queue_bytes": whole("events/events.ts", taken),
  "daemon.json:/event_streaming/max_event_bytes": whole("events/events.ts", taken),
  "daemon.json:/event_streaming/ballast_bytes": unit("compose/store.ts", [
    "store/disk-full",
    "has the size that is configured",
  ]),
  "daemon.json:/event_streaming/compression": unit("cloud/http.ts", squeezed),
  "daemon.json:/event_streaming/event_types": whole("events/events.ts", taken),
  "daemon.json:/event_streaming/file_change_paths": whole("compose/live-settings.ts", taken),

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

  "daemon.json:/security/sandbox_mode": whole("commands/plan.ts", [
    "tests/attacks/attacks",
    "X1: with sandbox_mode off the attacks are real",
  ]),
  "daemon.json:/security/tls_version": whole("packages/config/src/tls-policy.ts", bothFiles),
  "daemon.json:/security/certificate_validation": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "a blocked cloud, or one that nobody verifies, is a problem",
  ]),
  "daemon.json:/security/allowed_networks": whole("network/daemon-networks.ts", jwt),
  "daemon.json:/security/blocked_networks": whole("network/daemon-networks.ts", [
    "tests/system/link-networks",
    "X1: an allowed name that leads to a blocked address is not connected to",
  ]),
  "daemon.json:/security/file_access/allowed_paths": whole("sandbox/rules.ts", [
    restart,
    "process_management.temp_dir and the first of allowed_paths",
  ]),
  "daemon.json:/security/file_access/blocked_paths": whole("sandbox/rules.ts", [
    "tests/system/files",
    "X1: a blocked path inside an allowed one is not read, listed, moved along or removed with its folder",
  ]),
  "daemon.json:/security/sandbox/network": whole("commands/plan.ts", [
    "tests/system/egress",
    "X1: with network none there is a loopback of its own and nothing else",
  ]),
  "daemon.json:/security/sandbox/agent_network": whole("compose/enforceable.ts", [
    "tests/system/egress",
    "it is said what is enforced: system/info, status, and a dry run",
  ]),
  "daemon.json:/security/sandbox/proxy_allowed_hosts": whole("egress/egress-policy.ts", [
    "tests/system/egress",
    "what the list names is reached: by curl in the clear and through a tunnel, and by git",
  ]),
  "daemon.json:/security/sandbox/read_only_paths": whole("commands/plan.ts", [
    "tests/system/sandbox-tools",
    "node --test runs tests in processes of their own",
  ]),
  "daemon.json:/security/sandbox/allow_namespaces": unit("commands/plan.ts", [
    "commands/plan",
    "X1: commands and agents get the network that is configured for them",
  ]),

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
  "daemon.json:/local_api/login_timeout_seconds": whole("api/connection-guard.ts", connections),
  "daemon.json:/local_api/idle_timeout_seconds": whole("api/connection-guard.ts", composedApi),
  "daemon.json:/local_api/allowed_origins": whole("api/origin.ts", connections),
  "daemon.json:/local_api/rate_limiting/requests_per_minute": whole("api/caller-limits.ts", composedApi),
  "daemon.json:/local_api/rate_limiting/burst_limit": whole("api/caller-limits.ts", composedApi),
  "daemon.json:/local_api/rate_limiting/backoff_strategy": unit("api/caller-limits.ts", [
    "api/caller-limits",
    "each strategy is obeyed, and a change of the section holds at once",
  ]),

  "security.json:/authentication/methods": whole("compose/authentication.ts", [
    callers,
    "X2: with `methods` that do not name jwt, and without keys",
  ]),
  "security.json:/authentication/jwt/algorithm": unit("auth/public-keys.ts", [
    "auth/public-keys",
    "X3: keys that are private, shared, for encryption or another algorithm open nothing",
  ]),
  "security.json:/authentication/jwt/issuer": unit("auth/jwt-authenticator.ts", issued),
  "security.json:/authentication/jwt/audience": unit("auth/jwt-authenticator.ts", issued),
  "security.json:/authentication/jwt/expiry": unit("auth/jwt-authenticator.ts", ages),
  "security.json:/authentication/jwt/refresh_threshold": unit("cloud/identity.ts", [
    "cloud/identity",
    "it is renewed the threshold before its expiry",
  ]),
  "security.json:/authentication/jwt/clock_skew": unit("auth/jwt-authenticator.ts", ages),
  "security.json:/authentication/jwt/public_key_url": whole("auth/fetch-public-keys.ts", jwt),
  "security.json:/authentication/jwt/public_key_outage": unit("auth/public-keys.ts", [
    "auth/public-keys",
    "X2: an outage is bridged by the keys of before, up to the limit",
  ]),
  "security.json:/authentication/certificate/ca_cert": whole("compose/outbound.ts", mutual),
  "security.json:/authentication/certificate/client_cert": whole("packages/config/src/tls-checks.ts", certificatePlace),
  "security.json:/authentication/certificate/client_key": whole("packages/config/src/tls-checks.ts", certificatePlace),
  "security.json:/authentication/certificate/verify_hostname": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "what is switched off is off in the policy",
  ]),
  "security.json:/authentication/certificate/cipher_suites": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/authorization/rbac_enabled": unit("api/session.ts", [
    "compose/permissions",
    "X3: rbac ${checksRoles",
  ]),
  "security.json:/authorization/default_role": whole("compose/compose.ts", [
    callers,
    "X3: `authorization` of a cloud's message decides, checked by the daemon",
  ]),
  "security.json:/authorization/permissions": whole("api/session.ts", jwt),
  "security.json:/authorization/certificate_roles": whole("api/certificate-callers.ts", clients),
  "security.json:/network_security/firewall_rules": unit("network/daemon-networks.ts", [
    "network/daemon-networks",
    "firewall rules: an allow is as good as an entry for its protocol, a deny wins over all",
  ]),
  "security.json:/network_security/tls_config/min_version": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/network_security/tls_config/max_version": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "what is switched off is off in the policy",
  ]),
  "security.json:/network_security/tls_config/cipher_suites": whole("packages/config/src/tls-policy.ts", bothFiles),
  "security.json:/network_security/tls_config/certificate_pinning": whole(
    "packages/config/src/tls-policy.ts",
    bothFiles,
  ),
  "security.json:/network_security/tls_config/pin_hashes": whole("cloud/tls.ts", mutual),
  "security.json:/network_security/tls_config/pin_report_only": whole(
    "network/unpinned-keys.ts",
    [crossChecks, "one pin is warned about, two are not, and report-only has nothing to warn about"],
    ["cloud/tls-failures", "a key that is not pinned, with pin_report_only"],
  ),
  "security.json:/input_validation/max_request_size": whole("compose/compose.ts", [
    restart,
    "input_validation.max_request_size: a request over it is refused, one below is not",
  ]),
  "security.json:/input_validation/sanitization_rules": whole("packages/config/src/security-checks.ts", [
    crossChecks,
    "X2: rules of sanitization that say less, or more, than is checked are warned about",
  ]),
  "security.json:/redaction/values": whole("compose/secrets.ts", hidden),
  "security.json:/redaction/patterns": whole("compose/secrets.ts", hidden),
};

const toldByTheCloud = "the cloud names this path in its answer to the registration, and that one holds";

/** Keys of the specification that are read by nobody, with what they wait for. It may only shrink. */
export const withoutEffect: Readonly<Record<string, string>> = {
  "daemon.json:/cloud_api/endpoints/token": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/heartbeat": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/commands": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/events": toldByTheCloud,
  "daemon.json:/cloud_api/endpoints/status": toldByTheCloud,
  "daemon.json:/cloud_api/connection/retry_attempts": "a request is put back and tried again without end (ADR 17)",
  "daemon.json:/cloud_api/connection/keepalive": "connections are always kept between requests",
  "daemon.json:/claude_integration/communication/buffer_size": "reads are as large as the output that waits",
  "daemon.json:/claude_integration/communication/message_delimiter":
    'a line ends with "\\n", and "\\r\\n" is understood',
  "daemon.json:/event_streaming/encryption": "events leave only over TLS or on this machine, whatever it says",
};

interface PlacedSection {
  readonly file: string;
  readonly name: string;
  readonly keys: readonly { readonly pointer: string; readonly path: string; readonly reload: "live" | "restart" }[];
}

/** All sections of both files, with their keys as `daemon.json:/section/key`. */
export function declaredSections(): PlacedSection[] {
  const files: readonly [string, Section<Shape>][] = [
    ["daemon.json", daemonFile],
    ["security.json", securityFile],
  ];
  return files.flatMap(([file, root]) => {
    const keys = [...keysBelow(root)];
    return Object.keys(root.keys).map((name) => ({
      file,
      name,
      keys: keys
        .filter(({ path }) => path[0] === name)
        .map(({ path, key }) => ({
          pointer: `${file}:${toPointer(path)}`,
          path: path.slice(1).join("."),
          reload: key.reload,
        })),
    }));
  });
}

/** docs/enforcement.md. Throws, naming it, for a key that has no row. */
export function renderEnforcement(): string {
  const lines = [introduction];
  for (const { file, name, keys } of declaredSections()) {
    lines.push(`## ${file}: ${name}\n`, "| key | obeyed by | fails if it did nothing |", "| --- | --- | --- |");
    for (const { pointer, path, reload } of keys) lines.push(`| \`${path}\` | ${cells(pointer, reload)} |`);
    lines.push("");
  }
  return lines.join("\n");
}

function cells(pointer: string, reload: "live" | "restart"): string {
  const waits = withoutEffect[pointer];
  if (waits !== undefined) return `**nothing yet** | ${waits}`;
  const found = enforcement[pointer];
  if (found === undefined) throw new Error(`${pointer} has no row in scripts/enforcement.ts`);
  const proofs = found.proofs.map(({ file, title }) => `\`${file}\`: ${title.replaceAll("|", "\\|")}`);
  return `\`${found.by}\` | ${[...proofs, ...(found.isUnit ? [`**${reload}**`] : [])].join("; ")}`;
}

const introduction = `# What each setting does

<!-- Generated by \`npm run docs\` from scripts/enforcement.ts and packages/config/src/sections. Edit there. -->

For every key the module that obeys it and a test that fails if it did nothing; \`npm run check\` looks both up. Where a test hands the value to its module,
**live** and **restart** stand for the test over all such keys that the configured value gets there (\`${readByAll.live.file}\`: ${readByAll.live.title}; ${readByAll.restart.title}).
`;
