/** `local_api`: the unix socket and the HTTP port on this machine. */
import * as z from "zod";
import { count, flag, key, line, optionalKey, path, pathSchema, seconds, section } from "../declare.ts";
import { rateLimiting } from "./rate-limiting.ts";

export const localApiSection = section({
  summary: "The interfaces on this machine.",
  keys: {
    http_enabled: flag({ default: true, reload: "restart", summary: "Whether there is an HTTP port." }),
    http_host: key({
      schema: line(253).meta({ description: "address or name" }),
      default: "127.0.0.1",
      reload: "restart",
      summary:
        "Address that the HTTP port listens on. Without `tls_certificate` other machines get `/health` there and nothing that needs a token.",
    }),
    http_port: count({
      max: 65_535,
      default: 8080,
      reload: "restart",
      summary: "The port; 0 takes any free one (the ready line names it).",
    }),
    tls_certificate: optionalKey({
      schema: pathSchema,
      location: "path",
      reload: "restart",
      remote: false,
      summary:
        "With `tls_key` the HTTP port speaks TLS and nothing else: its certificate, then those that lead to the authority (PEM). Read at the start.",
    }),
    tls_key: optionalKey({
      schema: pathSchema,
      location: "path",
      reload: "restart",
      remote: false,
      summary: "The private key of `tls_certificate` (PEM).",
    }),
    tls_client_ca: optionalKey({
      schema: pathSchema,
      location: "path",
      reload: "restart",
      remote: false,
      summary:
        "Authorities of client certificates (PEM). Whoever shows a valid one needs no token; `authorization.certificate_roles` of security.json says what it may do.",
    }),
    tls_client_required: flag({
      default: false,
      reload: "restart",
      remote: false,
      summary: "Refuse every connection without a valid client certificate, also for `/health`.",
    }),
    socket_path: path({
      default: "data/state/daemon.sock",
      reload: "restart",
      summary: "The unix socket, at most 107 bytes.",
    }),
    token_file: path({
      default: "data/auth/local_token",
      reload: "restart",
      remote: false, // Its reader has the admin role: who may set it could name a file of his own.
      summary: "The local admin token, made at the first start.",
    }),
    max_connections: count({
      min: 1,
      max: 100_000,
      default: 256,
      unit: "connections",
      reload: "live",
      summary:
        "Connections at once, socket and HTTP together; a quarter is kept for each. Without room a new one takes the place of one that has not logged in.",
    }),
    max_pending_requests: count({
      min: 1,
      max: 100_000,
      default: 1024,
      unit: "requests",
      reload: "live",
      summary: "Requests of one connection without an answer; one more is refused (`rate_limited`).",
    }),
    login_timeout_seconds: seconds({
      min: 0.1,
      max: 3600,
      default: 10,
      reload: "live",
      summary:
        "A connection that has not proved who it is by then is closed; one over HTTP that only asks for health is not.",
    }),
    idle_timeout_seconds: seconds({
      min: 1,
      default: 900,
      reload: "live",
      summary: "A connection without requests and subscriptions is closed.",
    }),
    allowed_origins: key({
      schema: z
        .array(
          z
            .string()
            .regex(/^https?:\/\/[^\s/?#]+$/, "must be an origin such as http://localhost:3000")
            .meta({ description: "origin" }),
        )
        .max(256),
      default: [],
      reload: "live",
      summary: "Origins of web pages that may call the HTTP port, besides its own.",
    }),
    rate_limiting: rateLimiting(
      "Requests of one token or certificate, and before login of one address. The local admin token is exempt.",
    ),
  },
});
