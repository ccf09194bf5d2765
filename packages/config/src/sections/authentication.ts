/** `authentication` of security.json: whom the daemon believes. */
import * as z from "zod";
import { choice, flag, key, line, path, seconds, section } from "../declare.ts";
import { cipherSuite } from "../cipher-suites.ts";
import { serviceUrl } from "../networks.ts";

const YEAR_SECONDS = 31_536_000;

export const authenticationSection = section({
  summary: "Whom the daemon believes.",
  remote: false,
  keys: {
    methods: key({
      schema: z
        .array(z.enum(["jwt", "certificate"]))
        .min(1)
        .refine((methods) => new Set(methods).size === methods.length, "must not name a method twice"),
      default: ["jwt", "certificate"],
      reload: "restart",
      summary:
        "What proves who a caller is, beside the local token: a JWT, a client certificate on the HTTP port. What is not named is refused.",
    }),
    jwt: section({
      summary: "JSON Web Tokens.",
      keys: {
        algorithm: choice({
          values: ["RS256", "PS256", "ES256", "EdDSA"],
          default: "RS256",
          reload: "restart",
          summary: "The one algorithm that is accepted; shared secrets and `none` are not possible.",
        }),
        issuer: key({ schema: line(), default: "humanlayer.dev", reload: "restart", summary: "Expected `iss`." }),
        audience: key({ schema: line(), default: "hl-daemon", reload: "restart", summary: "Expected `aud`." }),
        expiry: seconds({
          min: 10,
          max: YEAR_SECONDS,
          default: 3600,
          reload: "restart",
          summary: "Longest life of a token that is accepted.",
        }),
        refresh_threshold: seconds({
          min: 1,
          max: YEAR_SECONDS,
          default: 300,
          reload: "restart",
          summary: "The daemon's own token is renewed this long before it expires. Must be shorter than `expiry`.",
        }),
        clock_skew: seconds({
          max: 600,
          default: 60,
          reload: "restart",
          summary: "Difference of clocks that is tolerated.",
        }),
        public_key_url: key({
          schema: serviceUrl,
          default: "https://api.humanlayer.dev/.well-known/jwks.json",
          reload: "restart",
          summary: "Public keys (JWKS). Where it is not set, it follows `cloud_api.base_url`.",
        }),
        public_key_outage: seconds({
          min: 300,
          max: YEAR_SECONDS,
          default: 86_400,
          reload: "restart",
          summary:
            "Where public keys cannot be fetched anew, those of before are used for so long; then JWTs are refused.",
        }),
      },
    }),
    certificate: section({
      summary: "Certificates of the daemon and of its servers.",
      keys: {
        ca_cert: path({
          default: "data/auth/ca.crt",
          reload: "restart",
          summary:
            "Authorities that are trusted (PEM). Where the file does not exist, the system's are (ca-certificates). For servers other than the cloud, both.",
        }),
        client_cert: path({
          default: "data/auth/client.crt",
          reload: "restart",
          summary: "Certificate of the daemon (PEM); where `cloud_api.auth.cert_file` is not set, that follows this.",
        }),
        client_key: path({
          default: "data/auth/client.key",
          reload: "restart",
          summary: "Its private key (PEM), likewise for `cloud_api.auth.key_file`.",
        }),
        verify_hostname: flag({
          default: true,
          reload: "restart",
          summary: "The server's certificate must name its host.",
        }),
        cipher_suites: key({
          schema: z.array(cipherSuite).min(1).max(64),
          default: ["ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-RSA-AES128-GCM-SHA256"],
          reload: "restart",
          summary: "Suites for connections with a client certificate under TLS 1.2.",
        }),
      },
    }),
  },
});
