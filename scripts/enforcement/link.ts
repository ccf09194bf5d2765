/** The way to the cloud and what goes over it. */
import {
  type Enforced,
  type Pair,
  unit,
  whole,
  live,
  restart,
  mutual,
  certificatePlace,
  crossChecks,
} from "./proofs.ts";

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
const taken: Pair = [live, "event_streaming: what is taken and what is told"];
const held: Pair = [
  "cloud/tls",
  "X2: authority, name, pins and client certificate hold for requests and for the command channel",
];
const unnamed: Pair = ["tests/system/link-endpoints", "cloud_api.endpoints where the cloud names none; keepalive"];
const pace = "cloud/request-pace";

export const linkRows: Readonly<Record<string, Enforced>> = {
  "daemon.json:/daemon/instance_id": whole("compose/cloud-identity.ts", [
    "tests/system/link-identity",
    "C4: a stolen refresh token that was replaced lets nobody in",
  ]),
  "daemon.json:/daemon/workspace_id": whole("system/system-info.ts", named),
  "daemon.json:/daemon/version": whole("system/system-info.ts", named),
  "daemon.json:/daemon/environment": whole("system/system-info.ts", named),

  "daemon.json:/cloud_api/base_url": whole("compose/cloud.ts", polls),
  "daemon.json:/cloud_api/endpoints/register": whole("cloud/identity.ts", unnamed, [
    "cloud/identity",
    "the path of registration is the configured one",
  ]),
  ...Object.fromEntries(
    ["token", "heartbeat", "commands", "events", "status"].map((name) => [
      `daemon.json:/cloud_api/endpoints/${name}`,
      whole("cloud/identity.ts", unnamed, ["cloud/identity", "each path is the one that the cloud has named"]),
    ]),
  ),
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
  "daemon.json:/cloud_api/connection/retry_attempts": whole(
    "cloud/retry.ts",
    [restart, "cloud_api.connection.retry_attempts: so many windows grow, none with 0: the first is the longest"],
    ["cloud/retry", "C3: behind attemptsMax windows each is the longest, until a success"],
  ),
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
  "daemon.json:/cloud_api/connection/keepalive": whole("network/http-client.ts", unnamed),
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
  "daemon.json:/event_streaming/encryption": whole("packages/config/src/network-checks.ts", [
    crossChecks,
    "X2: events in the clear are a problem, wherever the cloud is not this machine",
  ]),
  "daemon.json:/event_streaming/compression": unit("cloud/http.ts", squeezed),
  "daemon.json:/event_streaming/event_types": whole("events/events.ts", taken),
  "daemon.json:/event_streaming/file_change_paths": whole("compose/live-settings.ts", taken),
};
