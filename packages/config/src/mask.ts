/** The configuration as it may be shown: secrets are masked, everything else stays. */
import { deepFreeze } from "./defaults.ts";
import type { Config } from "./load.ts";
import { MASK } from "./problem.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";

/** Values of a map are masked one by one, so that the names stay visible; sources and warnings hold no secret. */
export const maskSecrets = (config: Config): Config => {
  const masked = structuredClone({ daemon: config.daemon, security: config.security });
  for (const [tree, root] of [
    [masked.daemon, daemonFile],
    [masked.security, securityFile],
  ] as const)
    for (const { path, key } of keysBelow(root)) if (key.secret) maskAt(tree, path);
  return deepFreeze({ ...config, ...masked });
};

/** A secret in the form in which it may be shown. */
export const maskValue = (value: unknown): unknown => {
  if (value === undefined || value === null) return value;
  if (typeof value !== "object" || Array.isArray(value)) return MASK;
  return Object.fromEntries(Object.keys(value).map((name) => [name, MASK]));
};

const maskAt = (tree: object, path: readonly string[]): void => {
  let parent = tree as Record<string, unknown>;
  for (const name of path.slice(0, -1)) parent = parent[name] as Record<string, unknown>;
  const last = path.at(-1) ?? "";
  parent[last] = maskValue(parent[last]);
};
