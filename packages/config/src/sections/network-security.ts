/** `network_security` of security.json: rules for connections, TLS and pins. */
import * as z from "zod";
import { choice, flag, key, section } from "../declare.ts";
import { cipherSuite } from "../cipher-suites.ts";
import { networkEntry } from "../networks.ts";

const firewallRule = z.strictObject({
  direction: z.enum(["outbound", "inbound"]),
  protocol: z.enum(["any", "tcp", "udp", "http", "https", "ws", "wss", "ssh", "dns"]),
  destination: z
    .union([z.literal("any"), networkEntry], 'must be "any", a host, host:port, address, CIDR range or *.domain')
    .meta({
      description: '"any", host, host:port, address, CIDR range or *.domain',
    }),
  action: z.enum(["allow", "deny"]),
});

/** The specification's pin of only "A": it stands for "not configured" and fits no key. */
export const isPlaceholderPin = (pin: string): boolean => /^sha256:A+=*$/.test(pin);

const pin = z
  .string()
  .refine(
    (text) => isPlaceholderPin(text) || /^sha256:[A-Za-z0-9+/]{43}=$/.test(text),
    'must be "sha256:" and the base64 SHA-256 (44 characters) of a public key (SPKI)',
  )
  .meta({ description: '"sha256:" and base64 of a SHA-256' });

const version = (fallback: "1.2" | "1.3", summary: string): ReturnType<typeof choice<["1.2", "1.3"]>> =>
  choice({
    values: ["1.2", "1.3"],
    default: fallback,
    reload: "restart",
    prepare: (value) => (value === 1.2 || value === 1.3 ? String(value) : value),
    summary,
  });

export const networkSecuritySection = section({
  summary: "Rules for connections and TLS.",
  remote: false,
  keys: {
    firewall_rules: key({
      schema: z.array(firewallRule).max(1000),
      default: [
        { direction: "outbound", protocol: "https", destination: "api.humanlayer.dev", action: "allow" },
        { direction: "outbound", protocol: "any", destination: "169.254.169.254", action: "deny" },
      ],
      reload: "restart",
      summary:
        "Connections of the daemon, beside `security.allowed_networks` and `blocked_networks`; a deny wins. " +
        "Inbound rules say who may connect to the HTTP port: `destination` is the caller's address or range, with a port of ours; with an allow nobody else may. Loopback is no exception.",
    }),
    tls_config: section({
      summary: "TLS to the cloud.",
      keys: {
        min_version: version(
          "1.2",
          "Lowest version; the stricter of this and `security.tls_version` of daemon.json holds.",
        ),
        max_version: version("1.3", "Highest version."),
        cipher_suites: key({
          schema: z.array(cipherSuite).min(1).max(64),
          default: ["TLS_AES_256_GCM_SHA384", "TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"],
          reload: "restart",
          summary: "Suites that are offered, by IANA's or OpenSSL's names.",
        }),
        certificate_pinning: flag({
          default: true,
          reload: "restart",
          summary:
            "The server's key must be one of `pin_hashes`. With only the placeholder pin, TLS connections are refused.",
        }),
        pin_hashes: key({
          schema: z.array(pin).max(64),
          default: ["sha256:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="],
          reload: "restart",
          summary:
            "SHA-256 of public keys (SPKI); any of them will do. List the key in use and the one that follows it: pins are known from here alone. The placeholder of only A means: not configured.",
        }),
        pin_report_only: flag({
          default: false,
          reload: "restart",
          summary:
            "A key that is not in `pin_hashes` is told in the log and the connection is made all the same; for trying pins before they count.",
        }),
      },
    }),
  },
});
