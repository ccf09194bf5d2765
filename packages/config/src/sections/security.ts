/** `security` of daemon.json: the sandbox, the networks and the paths. Never changed remotely. */
import * as z from "zod";
import { choice, flag, key, paths, section, type Key } from "../declare.ts";
import { networkEntry } from "../networks.ts";

const networks = (fallback: string[], summary: string): Key<string[]> =>
  key({ schema: z.array(networkEntry).max(4096), default: fallback, reload: "restart", summary });

const FORMS = "Hosts, host:port, addresses, CIDR ranges, `*.domain`.";

export const securitySection = section({
  summary: "Sandbox, networks and paths.",
  remote: false,
  keys: {
    sandbox_mode: flag({
      default: true,
      reload: "restart",
      summary:
        "Run every command and agent in the kernel's sandbox. Where that cannot be enforced, commands are refused.",
    }),
    tls_version: choice({
      values: ["1.2", "1.3"],
      default: "1.3",
      reload: "restart",
      // A number is the obvious slip here, and it can mean only one thing.
      prepare: (value) => (value === 1.2 || value === 1.3 ? String(value) : value),
      summary: "Lowest version of TLS; the stricter of this and `network_security.tls_config.min_version` holds.",
    }),
    certificate_validation: flag({
      default: true,
      reload: "restart",
      summary: "Verify the certificates of servers. Only a loopback cloud may do without.",
    }),
    allowed_networks: networks(
      ["api.humanlayer.dev", "releases.humanlayer.dev"],
      `Where the daemon itself may connect. ${FORMS} The host of \`cloud_api.base_url\` is always added.`,
    ),
    blocked_networks: networks(
      ["169.254.169.254", "localhost:22", "127.0.0.1:22"],
      `Where it may not connect, whatever \`allowed_networks\` says. ${FORMS}`,
    ),
    file_access: section({
      summary: "Paths of commands, agents and `file/*`.",
      keys: {
        allowed_paths: paths({
          default: ["/home/developer/workspace", "/tmp/hl-daemon-temp", "data"],
          developmentDefault: ["workspace", "data/cache/tmp"],
          reload: "restart",
          summary: "Read and write below these. The first is the workspace, the default working directory.",
        }),
        blocked_paths: paths({
          default: ["/etc/shadow", "/root", "config", "/var/log/auth.log"],
          developmentDefault: ["/etc/shadow", "config", "/var/log/auth.log"],
          reload: "restart",
          summary: "Never, also inside an allowed path.",
        }),
      },
    }),
    sandbox: section({
      summary: "Details of `sandbox_mode`.",
      keys: {
        network: choice({
          values: ["host", "none", "proxy"],
          default: "host",
          reload: "restart",
          summary: "Network of commands: the machine's, none, or only through the daemon's allow-list proxy.",
        }),
        agent_network: choice({
          values: ["host", "proxy"],
          default: "host",
          reload: "restart",
          summary:
            "Network of agents and of the tools they start. With `proxy` the hosts of the model's API must be in `proxy_allowed_hosts`. Not with `network` `none`, which could not keep commands from the proxy.",
        }),
        proxy_allowed_hosts: networks(
          [],
          `Where the allow-list proxy lets processes connect; \`blocked_networks\` wins. ${FORMS} A name never leads to a loopback or private address or one of this machine's own: such an address needs an entry of its own. Link-local and metadata ones are never reached.`,
        ),
        read_only_paths: paths({
          default: [],
          reload: "restart",
          summary: "Readable beside the system's own programs and libraries.",
        }),
        allow_namespaces: flag({
          default: false,
          reload: "restart",
          summary: "Let commands make namespaces of their own (nested containers need it).",
        }),
      },
    }),
  },
});
