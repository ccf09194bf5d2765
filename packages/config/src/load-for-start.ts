/** Loads as a start does: what was once set from afar must not keep a daemon from starting. */
import { loadConfig, overridesFile, type LoadOptions, type LoadResult } from "./load.ts";
import { keyAround, removeAt, type Overrides } from "./overrides.ts";
import { fromPointer, type Problem } from "./problem.ts";
import { readRegularFile, readSource, type ReadFile } from "./source-file.ts";

export type StartResult =
  | (Extract<LoadResult, { ok: true }> & {
      /** Problems of the overrides file; what they concern does not hold. Empty where all of the file holds. */
      readonly rejected: readonly Problem[];
      /** The overrides that hold. */
      readonly overrides: Overrides;
    })
  | Extract<LoadResult, { ok: false }>;

/**
 * Nobody could correct overrides from afar while the daemon does not start. So of those with problems the keys that hold stay, and
 * where that gives no configuration none of them does. Problems of the files are problems as ever.
 */
export const loadForStart = (options: LoadOptions): StartResult => {
  const loaded = loadConfig(options);
  if (loaded.ok) return { ...loaded, rejected: [], overrides: readOverrides(loaded.config.home, options.readFile) };
  const without = loadConfig({ ...options, overrides: {} });
  if (!without.ok) return without;
  const file = overridesFile(without.config.home);
  const kept = readOverrides(without.config.home, options.readFile) as Record<string, unknown>;
  for (const problem of loaded.problems)
    if (problem.file === file) removeAt(kept, keyAround(fromPointer(problem.pointer)));
  const partly = loadConfig({ ...options, overrides: kept });
  const rejected = inFile(loaded.problems, file);
  if (partly.ok) return { ...partly, rejected, overrides: kept };
  return { ...without, rejected: [...rejected, ...inFile(partly.problems, file)], overrides: {} };
};

/** A conflict with another file may have been found there; what does not hold is the override. */
const inFile = (problems: readonly Problem[], file: string): Problem[] => {
  const own = problems.filter((problem) => problem.file === file);
  return own.length > 0 ? own : problems.map(({ pointer, message }) => ({ file, pointer, message }));
};

/** Empty where the file is missing or nothing of it can be read. */
const readOverrides = (home: string, readFile: ReadFile = readRegularFile): Overrides => {
  const reading = readSource(overridesFile(home), readFile);
  const value = reading.status === "read" ? reading.source.document.value : undefined;
  return typeof value === "object" && value !== null && !Array.isArray(value)
    ? (structuredClone(value) as Overrides)
    : {};
};
