import type { Config } from "@hl/config/load.ts";
import { parseSecretPattern } from "@hl/config/secret-pattern.ts";
import { loadLocalToken } from "../api/local-token.ts";
import { passwordInUrl } from "../redaction/secret-variables.ts";
import type { Secrets } from "../redaction/secrets.ts";

/**
 * What the configuration makes a secret (X4): what it puts into the environments of commands and agents, the values that it names, and the passwords
 * of URLs in any key. Known before anything is logged.
 */
export function holdConfigured(secrets: Secrets, config: Config): void {
  const { process_management: processes, claude_integration: claude } = config.daemon;
  secrets.holdOwn("process_management.environment", processes.environment);
  secrets.holdOwn("claude_integration.environment", claude.environment);
  const { values, patterns } = config.security.redaction;
  secrets.lookFor(patterns.map(({ name, pattern }) => ({ name, pattern: parseSecretPattern(pattern) })));
  secrets.holdValues(
    "redaction.values",
    Object.fromEntries(values.map((value, at) => [`configured_${at + 1}`, value])),
  );
  const passwords = [...textsIn(config.daemon), ...textsIn(config.security)].flatMap(({ name, text }) => {
    const password = passwordInUrl(text);
    return password === undefined ? [] : [[name, password] as const];
  });
  secrets.holdValues("configuration", Object.fromEntries(passwords));
}

/** The daemon's own, which it may have to make first. */
export function holdLocalToken(secrets: Secrets, config: Config): void {
  secrets.holdOwn("local_token", { local_token: loadLocalToken(config.daemon.local_api.token_file) });
}

function textsIn(tree: object, path = ""): { readonly name: string; readonly text: string }[] {
  return Object.entries(tree).flatMap(([key, value]: [string, unknown]) => {
    const name = path === "" ? key : `${path}.${key}`;
    if (typeof value === "string") return [{ name, text: value }];
    return typeof value === "object" && value !== null ? textsIn(value, name) : [];
  });
}
