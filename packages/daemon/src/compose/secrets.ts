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
  const { values, patterns } = config.security.redaction;
  secrets.lookFor(patterns.map(({ name, pattern }) => ({ name, pattern: parseSecretPattern(pattern) })));
  secrets.holdValues(
    "redaction.values",
    Object.fromEntries(values.map((value, at) => [`configured_${at + 1}`, value])),
  );
  holdNamed(secrets, config, "in force");
}

/** A newer configuration: both count, since what waits for the next start is shown, and told to the audit, already. */
export function holdTaken(secrets: Secrets, inForce: Config, newest: Config): void {
  holdNamed(secrets, inForce, "in force");
  holdNamed(secrets, newest, "newest");
}

/** The daemon's own, which it may have to make first. */
export function holdLocalToken(secrets: Secrets, config: Config): void {
  secrets.holdOwn("local_token", { local_token: loadLocalToken(config.daemon.local_api.token_file) });
}

function holdNamed(secrets: Secrets, { daemon, security }: Config, which: "in force" | "newest"): void {
  secrets.holdOwn(`process_management.environment ${which}`, daemon.process_management.environment);
  secrets.holdOwn(`claude_integration.environment ${which}`, daemon.claude_integration.environment);
  const passwords = [...textsIn(daemon), ...textsIn(security)].flatMap(({ name, text }) => {
    const password = passwordInUrl(text);
    return password === undefined ? [] : [[name, password] as const];
  });
  secrets.holdValues(`configuration ${which}`, Object.fromEntries(passwords));
}

function textsIn(tree: object, path = ""): { readonly name: string; readonly text: string }[] {
  return Object.entries(tree).flatMap(([key, value]: [string, unknown]) => {
    const name = path === "" ? key : `${path}.${key}`;
    if (typeof value === "string") return [{ name, text: value }];
    return typeof value === "object" && value !== null ? textsIn(value, name) : [];
  });
}
