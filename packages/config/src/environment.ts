/** `HL_…` variables: each key has one, derived from its place, so none is listed by hand. */
import type { Environment } from "./interpolate.ts";
import { judgeText } from "./judge.ts";
import { faultWithValue, type Collection, type TreeName } from "./layer.ts";
import { toPointer } from "./problem.ts";
import { daemonFile, keysBelow, securityFile, type PlacedKey } from "./schema.ts";
import { nearest } from "./suggest.ts";

/** `HL_LOCAL_API__HTTP_PORT` of `["local_api", "http_port"]`. */
export const variableOf = (path: readonly string[]): string =>
  `HL_${path.map((part) => part.toUpperCase()).join("__")}`;

interface Placed extends PlacedKey {
  readonly tree: TreeName;
}

const placedByVariable = (): Map<string, Placed> => {
  const placed = new Map<string, Placed>();
  for (const [tree, root] of [
    ["daemon", daemonFile],
    ["security", securityFile],
  ] as const)
    for (const key of keysBelow(root)) placed.set(variableOf(key.path), { ...key, tree });
  return placed;
};

/**
 * Reads all variables that begin with `HL_` and contain `__`. Others (`HL_DAEMON_CONFIG`, `HL_ENROLLMENT_TOKEN`) are not settings.
 * One that names no key is a problem where its section exists, else a warning: the prefix may be somebody else's too.
 */
export const collectEnvironment = (environment: Environment, into: Collection): void => {
  const known = placedByVariable();
  const sections = new Set([...known.keys()].map((name) => name.split("__")[0]));
  for (const variable of Object.keys(environment).sort()) {
    const text = environment[variable];
    if (text === undefined || !variable.startsWith("HL_") || !variable.includes("__")) continue;
    const placed = known.get(variable);
    if (placed === undefined) {
      const meant = nearest(variable, known.keys());
      const list = sections.has(variable.split("__")[0]) || meant !== undefined ? into.problems : into.warnings;
      const suggestion = meant === undefined ? undefined : `did you mean ${meant}?`;
      list.push({
        file: "environment",
        pointer: "",
        variable,
        message: "names no key of the configuration",
        suggestion,
      });
      continue;
    }
    const judgement = judgeText(placed.key, text);
    if (judgement.ok) {
      into.entries[placed.tree].set(toPointer(placed.path), {
        value: judgement.value,
        source: { kind: "environment", variable },
      });
      continue;
    }
    for (const fault of judgement.faults) {
      const shown = faultWithValue({ ...fault, path: [] }, text, placed.key);
      into.problems.push({
        file: "environment",
        pointer: toPointer([...placed.path, ...fault.path]),
        variable,
        ...shown,
      });
    }
  }
};
