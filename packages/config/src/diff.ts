/** What differs between two configurations, and whether a running daemon can take it over. */
import { isDeepStrictEqual } from "node:util";
import type { Reload } from "./declare.ts";
import type { TreeName } from "./layer.ts";
import type { Config } from "./load.ts";
import { maskValue } from "./mask.ts";
import { toPointer } from "./problem.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";

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

const valueAt = (tree: object, path: readonly string[]): unknown =>
  path.reduce<unknown>((parent, name) => (parent as Record<string, unknown>)[name], tree);
