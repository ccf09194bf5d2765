/** Checks of roles, tokens and paths. */
import type { Finding, Trees } from "./finding.ts";
import type { DaemonConfig } from "./schema.ts";

export function* securityChecks(trees: Trees): Generator<Finding> {
  yield* tokenChecks(trees);
  yield* roleChecks(trees);
  yield* pathChecks(trees);
  yield* egressChecks(trees);
  yield* keyChecks(trees);
  yield* sanitizationChecks(trees);
}

/** What is checked is checked always (X1); a rule, or its absence, that suggests otherwise is told. */
const checkedFields = ["command", "file_path"] as const;

function* sanitizationChecks({ security }: Trees): Generator<Finding> {
  const { sanitization_rules: rules } = security.input_validation;
  const keys = ["security:/input_validation/sanitization_rules"];
  const named = rules.map(({ field }) => field);
  const left = checkedFields.filter((field) => !named.includes(field));
  if (left.length > 0)
    yield {
      severity: "warning",
      keys,
      value: named,
      message: `does not name ${left.join(", ")}: checked all the same`,
    };
  const unknown = named.filter((field) => !checkedFields.some((checked) => checked === field));
  if (unknown.length > 0)
    yield {
      severity: "warning",
      keys,
      value: unknown,
      message: "names fields that have no check of their own",
      allowed: checkedFields.join(", "),
    };
}

function* tokenChecks({ security }: Trees): Generator<Finding> {
  const { jwt } = security.authentication;
  if (jwt.refresh_threshold >= jwt.expiry)
    yield {
      severity: "problem",
      keys: ["security:/authentication/jwt/refresh_threshold", "security:/authentication/jwt/expiry"],
      value: jwt.refresh_threshold,
      message: `is not shorter than expiry (${jwt.expiry} s): a token would be renewed without end`,
    };
}

function* roleChecks({ security }: Trees): Generator<Finding> {
  const { rbac_enabled: enabled, default_role: role, permissions } = security.authorization;
  if (!enabled)
    yield {
      severity: "warning",
      keys: ["security:/authorization/rbac_enabled"],
      value: false,
      message: "lets every authenticated caller do everything",
    };
  const granted = Object.hasOwn(permissions, role) ? permissions[role] : undefined;
  if (granted === undefined && role !== "admin")
    yield {
      severity: "problem",
      keys: ["security:/authorization/default_role", "security:/authorization/permissions"],
      value: role,
      message: "is not a role in authorization.permissions",
      allowed: Object.keys(permissions).join(", "),
    };
  else if (enabled && granted?.includes("approval:decide") === false)
    yield {
      severity: "warning",
      keys: ["security:/authorization/permissions"],
      message: `gives the default role "${role}" no approval:decide, so the cloud cannot answer the agent's permission requests`,
    };
}

function* pathChecks({ daemon }: Trees): Generator<Finding> {
  const { sandbox_mode: sandbox, file_access: files } = daemon.security;
  if (!sandbox)
    yield {
      severity: "warning",
      keys: ["/security/sandbox_mode"],
      value: false,
      message: "lets commands and agents read and write whatever their user can",
    };
  const keys = ["/security/file_access/allowed_paths", "/security/file_access/blocked_paths"];
  if (files.allowed_paths.length === 0)
    yield { severity: "problem", keys, value: [], message: "must name at least one path: the first is the workspace" };
  if (sandbox && files.allowed_paths.includes("/"))
    yield {
      severity: "warning",
      keys,
      value: "/",
      message: "allows the whole machine, so the sandbox protects little",
    };
  for (const allowed of files.allowed_paths) {
    const blocker = files.blocked_paths.find((blocked) => isInside(allowed, blocked));
    if (blocker !== undefined)
      yield {
        severity: "warning",
        keys,
        value: allowed,
        message: `lies inside the blocked path ${blocker}, so nothing in it can be used`,
      };
  }
}

function* egressChecks({ daemon }: Trees): Generator<Finding> {
  const { sandbox_mode: sandboxed, sandbox } = daemon.security;
  const { network, agent_network: agentNetwork, proxy_allowed_hosts: hosts } = sandbox;
  const keys = ["/security/sandbox/network"];
  if (network !== "host" && !sandboxed)
    yield {
      severity: "warning",
      keys: [...keys, "/security/sandbox_mode"],
      value: network,
      message: "has no effect while sandbox_mode is false: commands have the machine's network",
    };
  if (sandboxed && network === "none" && agentNetwork === "proxy")
    yield {
      severity: "problem",
      keys: [...keys, "/security/sandbox/agent_network"],
      value: network,
      message:
        'cannot be kept with agent_network "proxy": a command could connect to the unix socket of the agents\' proxy, which neither a network namespace nor Landlock prevents',
      allowed: '"proxy" or "host" with agent_network "proxy"; "none" with agent_network "host"',
      suggestion:
        'set network to "proxy" too: commands then reach what proxy_allowed_hosts names, as they could anyway',
    };
  if (network !== "host" && agentNetwork === "host" && daemon.claude_integration.enabled)
    yield {
      severity: "warning",
      keys: ["/security/sandbox/agent_network", ...keys],
      value: agentNetwork,
      message: "leaves agents, and every tool that they start, the machine's network",
      suggestion: 'set it to "proxy" with the hosts of the model\'s API in proxy_allowed_hosts',
    };
  if ((network === "proxy" || agentNetwork === "proxy") && hosts.length === 0)
    yield {
      severity: "warning",
      keys: ["/security/sandbox/proxy_allowed_hosts"],
      value: [],
      message: "is empty, so nothing can be reached through the proxy",
    };
}

/** An agent behind a proxy has a loopback of its own. */
export const reachesKeyProxy = ({ security }: DaemonConfig): boolean =>
  !security.sandbox_mode || security.sandbox.agent_network !== "proxy";

const KEYS = ["ANTHROPIC_API_KEY", "ANTHROPIC_AUTH_TOKEN"];

function* keyChecks({ daemon }: Trees): Generator<Finding> {
  const { key_proxy: covered, environment } = daemon.claude_integration;
  if (reachesKeyProxy(daemon)) return;
  const keys = ["/claude_integration/key_proxy", "/security/sandbox/agent_network"];
  if (covered)
    yield {
      severity: "problem",
      keys,
      value: true,
      message: 'cannot be kept with agent_network "proxy": the agent does not reach the daemon\'s loopback address',
      allowed: 'true with agent_network "host"; false with "proxy"',
    };
  else if (KEYS.some((name) => environment[name] !== undefined))
    yield {
      severity: "warning",
      keys,
      value: false,
      message: "leaves the key of the model's API to agents and the tools that they start",
    };
}

const isInside = (path: string, folder: string): boolean => {
  const prefix = folder.endsWith("/") ? folder : `${folder}/`;
  return path === folder || path.startsWith(prefix);
};
