/**
 * Variables by which an environment would have Node or OpenSSL check less, trust more, load somebody else's code or write secrets down,
 * before or behind the back of the configuration. `bin/lib/run.sh` takes them out before Node begins; this is for who starts Node without it.
 */
export const unsafeVariables = [
  // Options of Node: code that is loaded first, weaker TLS, its keys in a file, a debugger.
  "NODE_OPTIONS",
  "NODE_TLS_REJECT_UNAUTHORIZED",
  // Authorities beside the configured ones.
  "NODE_EXTRA_CA_CERTS",
  "NODE_USE_SYSTEM_CA",
  "SSL_CERT_FILE",
  "SSL_CERT_DIR",
  // OpenSSL's own configuration: weaker suites and versions, and libraries that it loads.
  "OPENSSL_CONF",
  "OPENSSL_CONF_INCLUDE",
  "OPENSSL_MODULES",
  "OPENSSL_ENGINES",
  // A proxy for connections that would pass ours by.
  "NODE_USE_ENV_PROXY",
  // Requests with their tokens on standard error.
  "NODE_DEBUG",
  "NODE_DEBUG_NATIVE",
] as const;

/** Why the daemon does not start in this environment; undefined where it may. */
export function environmentProblem(environment: Readonly<Record<string, string | undefined>>): string | undefined {
  const found = unsafeVariables.filter((name) => environment[name] !== undefined);
  if (found.length === 0) return undefined;
  const them = found.length === 1 ? "it" : "them";
  return `${found.join(", ")} in the environment can make Node or OpenSSL check less than is configured: unset ${them}, or start the daemon by bin/hl-daemon, which does. What ${them === "it" ? "it was" : "they were"} for belongs into daemon.json and security.json`;
}
