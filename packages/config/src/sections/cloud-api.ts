/** `cloud_api`: the link to the control plane. */
import { choice, count, flag, path, seconds, section } from "../declare.ts";
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
      reload: "live",
      summary: "Attempts of one request before it is put back; the command channel reconnects without end.",
    }),
    retry_delay: seconds({
      min: 0.01,
      max: 3600,
      default: 5,
      reload: "live",
      summary: "First delay of the back-off, which doubles with full jitter.",
    }),
    max_retry_delay: seconds({
      min: 0.1,
      max: 86_400,
      default: 60,
      reload: "live",
      summary: "Longest delay of the back-off.",
    }),
    keepalive: flag({ default: true, reload: "restart", summary: "Keep connections open between requests." }),
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
    heartbeat_interval: seconds({
      min: 1,
      max: 86_400,
      default: 30,
      reload: "live",
      summary: "Between heartbeats (±10 %), until registration says another interval.",
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
  },
});

export const cloudApiSection = section({
  summary: "The link to the control plane.",
  keys: {
    ...endpointKeys,
    auth,
    connection,
    rate_limiting: rateLimiting("Pace of the daemon's own requests to the cloud."),
  },
});
