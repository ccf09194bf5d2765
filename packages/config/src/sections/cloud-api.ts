/** `cloud_api`: the link to the control plane. */
import { bytes, choice, count, flag, path, seconds, section } from "../declare.ts";
import { endpointKeys } from "./api-endpoints.ts";
import { rateLimiting } from "./rate-limiting.ts";

const auth = section({
  summary: "How the daemon proves who it is.",
  remote: false,
  keys: {
    method: choice({
      values: ["jwt", "certificate"],
      default: "jwt",
      reload: "restart",
      summary:
        "`jwt`: tokens from enrolment (a client certificate is used too where it exists). `certificate`: mutual TLS alone.",
    }),
    token_file: path({
      default: "data/auth/access_token",
      reload: "restart",
      summary: "Access token, written by the daemon.",
    }),
    refresh_token_file: path({
      default: "data/auth/refresh_token",
      reload: "restart",
      summary: "Refresh token, written by the daemon.",
    }),
    enrollment_token_file: path({
      default: "data/auth/enrollment_token",
      reload: "restart",
      summary: "One-time token for enrolment; the environment variable HL_ENROLLMENT_TOKEN comes first.",
    }),
    cert_file: path({ default: "data/auth/client.crt", reload: "restart", summary: "Client certificate (PEM)." }),
    key_file: path({
      default: "data/auth/client.key",
      reload: "restart",
      summary: "Private key of the certificate (PEM).",
    }),
  },
});

const connection = section({
  summary: "Requests and the command channel.",
  keys: {
    timeout: seconds({
      min: 0.1,
      max: 3600,
      default: 30,
      reload: "live",
      summary: "One request, from connecting to the last byte.",
    }),
    retry_attempts: count({
      max: 1000,
      default: 3,
      unit: "attempts",
      reload: "restart",
      summary:
        "Attempts of one request after windows that grow; then it is put back, and each window is `max_retry_delay`, without end. The command channel does not count.",
    }),
    retry_delay: seconds({
      min: 0.01,
      max: 3600,
      default: 5,
      reload: "live",
      summary:
        "First window of the back-off of requests: a repetition comes at any moment in it; the next is twice as long.",
    }),
    max_retry_delay: seconds({
      min: 0.1,
      max: 86_400,
      default: 60,
      reload: "live",
      summary: "Longest window of the back-off, of requests and of the command channel.",
    }),
    reconnect_spread: seconds({
      min: 0.01,
      max: 3600,
      default: 10,
      reload: "live",
      summary:
        "First window after the command channel was lost without a word: a fleet comes back spread over it, at most over `max_retry_delay`.",
    }),
    drain_spread_max: seconds({
      max: 3600,
      default: 600,
      reload: "live",
      summary:
        "Longest spread that is obeyed when the control plane announces its stop and says how to spread the return.",
    }),
    healthy_after: seconds({
      max: 3600,
      default: 60,
      reload: "live",
      summary:
        "A command channel that was answered and lived for so long was healthy: the next loss begins with the first window again.",
    }),
    retry_after_max: seconds({
      min: 1,
      max: 86_400,
      default: 900,
      reload: "live",
      summary:
        "Longest `Retry-After` that is obeyed (the shortest is a second); up to half of it is added at random, because the whole fleet is told the same.",
    }),
    refused_retry_delay: seconds({
      min: 0.01,
      max: 86_400,
      default: 60,
      reload: "live",
      summary:
        "First wait after credentials were refused although they had been renewed; doubles, and up to half is added at random.",
    }),
    refused_retry_delay_max: seconds({
      min: 0.01,
      max: 86_400,
      default: 900,
      reload: "live",
      summary: "Longest of these waits.",
    }),
    revoked_retry_delay: seconds({
      min: 0.01,
      max: 86_400,
      default: 300,
      reload: "live",
      summary:
        "First wait before a VM that the control plane has revoked asks again; doubles, and up to half is added.",
    }),
    revoked_retry_delay_max: seconds({
      min: 0.01,
      max: 86_400,
      default: 3600,
      reload: "live",
      summary: "Longest of these waits.",
    }),
    connect_timeout: seconds({
      min: 0.1,
      max: 600,
      default: 15,
      reload: "live",
      summary:
        "Name look-up, connection and TLS together. Not shorter than a busy server needs for the handshakes of a whole fleet.",
    }),
    keepalive: flag({
      default: true,
      reload: "restart",
      summary: "Connections stay open between requests; false: each request has one of its own.",
    }),
    max_connections: count({
      min: 1,
      max: 1000,
      default: 10,
      unit: "connections",
      reload: "restart",
      summary: "Connections to the cloud at once.",
    }),
    compression: choice({
      values: ["gzip", "none"],
      default: "gzip",
      reload: "live",
      summary: "Coding of request bodies.",
    }),
    compression_level: count({
      min: 1,
      max: 9,
      default: 6,
      reload: "live",
      summary: "Of gzip: a higher one costs processor time, a lower one network.",
    }),
    compression_bytes_min: bytes({
      default: 256,
      reload: "live",
      summary: "Smaller bodies go as they are, and so does what compressing would make smaller by less than 64 bytes.",
    }),
    answers_kept_days: count({
      min: 1,
      max: 3650,
      default: 7,
      unit: "days",
      reload: "live",
      summary:
        "The answers to commands of the cloud are kept for so long: one that comes again meanwhile gets its answer and does not run twice. Not shorter than the cloud asks again.",
    }),
    answers_kept_max: count({
      min: 1000,
      max: 10_000_000,
      default: 10_000,
      unit: "commands",
      reload: "live",
      summary: "The newest so many of them.",
    }),
    long_poll_after: count({
      max: 1000,
      default: 3,
      unit: "attempts",
      reload: "live",
      summary:
        "WebSocket upgrades that have to fail in a row before the command channel goes over long polls (0: at once). A cloud that cannot be reached at all does not count.",
    }),
    long_poll_wait: seconds({
      min: 0.1,
      max: 55,
      default: 25,
      reload: "live",
      summary: "How long one poll waits for something to do; below what proxies let a request take.",
    }),
    websocket_retry: seconds({
      min: 0.1,
      max: 86_400,
      default: 600,
      reload: "live",
      summary: "Between attempts (±10 %) at a WebSocket while the command channel goes over polls.",
    }),
    heartbeat_interval: seconds({
      min: 1,
      max: 86_400,
      default: 30,
      reload: "live",
      summary:
        "Between heartbeats (±10 %), until the control plane says another interval. The first comes somewhere within it.",
    }),
    heartbeat_interval_min: seconds({
      min: 0.1,
      max: 3600,
      default: 15,
      reload: "live",
      summary: "Shortest interval that is taken over from the control plane.",
    }),
    heartbeat_interval_max: seconds({
      min: 0.1,
      max: 86_400,
      default: 300,
      reload: "live",
      summary: "Longest interval that is taken over from the control plane.",
    }),
    ping_interval: seconds({
      min: 0.1,
      max: 3600,
      default: 20,
      reload: "live",
      summary: "Between pings on the command channel.",
    }),
    dead_after: seconds({
      min: 0.2,
      max: 7200,
      default: 45,
      reload: "live",
      summary: "Silence after which the command channel counts as dead. Must be longer than `ping_interval`.",
    }),
    clock_jump: seconds({
      min: 1,
      max: 3600,
      default: 5,
      reload: "live",
      summary:
        "Jump of the wall clock against the monotonic one that counts: it is an `error` event, and the tokens are looked at again.",
    }),
    resume_jump: seconds({
      min: 1,
      max: 86_400,
      default: 20,
      reload: "live",
      summary: "Jump forward that looks like a machine that slept: the command channel is tried at once.",
    }),
    resume_pong: seconds({
      min: 0.1,
      max: 600,
      default: 5,
      reload: "live",
      summary: "How long the control plane then has to answer before the channel is opened anew.",
    }),
  },
});

export const cloudApiSection = section({
  summary: "The link to the control plane.",
  keys: {
    ...endpointKeys,
    auth,
    connection,
    rate_limiting: rateLimiting(
      "Pace of the daemon's own requests to the cloud; one over it waits its turn. `backoff_strategy` is for a 429 that does not say how long.",
    ),
  },
});
