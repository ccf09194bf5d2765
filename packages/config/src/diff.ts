/** What differs between two configurations, and what a running daemon takes over of a newer one. */
import { isDeepStrictEqual } from "node:util";
import type { Reload } from "./declare.ts";
import { deepFreeze } from "./defaults.ts";
import type { TreeName } from "./layer.ts";
import type { Config } from "./load.ts";
import { maskValue } from "./mask.ts";
import { toPointer } from "./problem.ts";
import { daemonFile, keysBelow, securityFile, type DaemonConfig } from "./schema.ts";

export interface Change {
  readonly tree: TreeName;
  readonly pointer: string;
  /** Masked where the key is secret. */
  readonly before: unknown;
  readonly after: unknown;
  readonly reload: Reload;
}

/** The keys whose final values differ, in the order of their declaration. */
export const diffConfig = (a: Config, b: Config): Change[] => {
  const changes: Change[] = [];
  for (const [tree, root] of [
    ["daemon", daemonFile],
    ["security", securityFile],
  ] as const)
    for (const { path, key } of keysBelow(root)) {
      const [before, after] = [valueAt(a[tree], path), valueAt(b[tree], path)];
      if (isDeepStrictEqual(before, after)) continue;
      const show = key.secret ? maskValue : (value: unknown): unknown => value;
      changes.push({ tree, pointer: toPointer(path), before: show(before), after: show(after), reload: key.reload });
    }
  return changes;
};

/** What was in force, with the live keys of the newer one: values, and where they came from. No key of security.json is live. */
export const withLiveKeys = (inForce: Config, newer: Config): Config => {
  const daemon = structuredClone<DaemonConfig>(inForce.daemon);
  const sources = { ...inForce.sources.daemon };
  for (const { path, key } of keysBelow(daemonFile)) {
    if (key.reload !== "live") continue;
    const pointer = toPointer(path);
    const parent = valueAt(daemon, path.slice(0, -1)) as Record<string, unknown>;
    parent[path.at(-1) ?? ""] = valueAt(newer.daemon, path);
    sources[pointer] = newer.sources.daemon[pointer] ?? { kind: "default" };
  }
  return deepFreeze({ ...inForce, daemon, sources: { ...inForce.sources, daemon: sources }, warnings: newer.warnings });
};

/** Pointers of the keys of daemon.json that a running daemon takes over, in the order of their declaration. */
export const livePointers = (): string[] =>
  [...keysBelow(daemonFile)].filter(({ key }) => key.reload === "live").map(({ path }) => toPointer(path));

const valueAt = (tree: object, path: readonly string[]): unknown =>
  path.reduce<unknown>((parent, name) => (parent as Record<string, unknown>)[name], tree);
