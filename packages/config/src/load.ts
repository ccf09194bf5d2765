/**
 * Loads the configuration: defaults < files < overrides < environment. Every problem of every source is collected;
 * a configuration comes out only where there is none. Nothing here reads the real environment or the clock.
 */
import { dirname, join, resolve } from "node:path";
import { crossCheck } from "./cross-checks.ts";
import type { Section, Shape } from "./declare.ts";
import { buildTree, deepFreeze, type Home } from "./defaults.ts";
import { collectEnvironment } from "./environment.ts";
import type { Environment } from "./interpolate.ts";
import { parseJson } from "./json.ts";
import { Collection, collectFile, type FileLayer, type Source, type TreeName } from "./layer.ts";
import type { Problem } from "./problem.ts";
import {
  daemonFile,
  endpointsFile,
  loggingFile,
  securityFile,
  type DaemonConfig,
  type SecurityConfig,
} from "./schema.ts";
import { readRegularFile, readSource, type ReadFile } from "./source-file.ts";

export const DEFAULT_HOME = "/opt/freestyle/hl-daemon";

/** Problems listed for one file; the rest are counted. */
const FILE_PROBLEMS_MAX = 100;

/** Where the value at each JSON pointer came from. */
export type Sources = Readonly<Record<TreeName, Readonly<Record<string, Source>>>>;

export interface Config {
  /** Absolute. */
  readonly home: string;
  readonly daemon: DaemonConfig;
  readonly security: SecurityConfig;
  readonly sources: Sources;
  /** What is allowed and yet probably not meant. */
  readonly warnings: readonly Problem[];
}

export type LoadResult =
  { readonly ok: true; readonly config: Config } | { readonly ok: false; readonly problems: readonly Problem[] };

export interface LoadOptions {
  readonly home?: string | undefined;
  /** Files that were asked for, which must exist; the others are optional. */
  readonly files?: { readonly daemon?: string | undefined; readonly security?: string | undefined } | undefined;
  readonly env: Environment;
  /** Then no cloud is assumed. */
  readonly testMode?: boolean | undefined;
  /** Judged in place of the overrides file, to try a change before it is written. */
  readonly overrides?: object | undefined;
  readonly readFile?: ReadFile | undefined;
}

/** Where `system/config/update` keeps its changes. */
export const overridesFile = (home: string): string => join(home, "data/state/config-overrides.json");

export const loadConfig = (options: LoadOptions): LoadResult => {
  const home = resolve(options.home ?? DEFAULT_HOME);
  const into = new Collection();
  for (const file of filesOf(home, options)) {
    const before = into.problems.length;
    collectOne(file, options, into);
    const extra = into.problems.splice(before + FILE_PROBLEMS_MAX).length;
    if (extra > 0)
      into.problems.push({ file: file.file, pointer: "", message: `has ${extra} more problems, not listed here` });
  }
  collectEnvironment(options.env, into);

  const place: Home = { directory: home, elsewhere: home !== DEFAULT_HOME, testMode: options.testMode === true };
  const daemon = buildTree(daemonFile, into.entries.daemon, place);
  const security = buildTree(securityFile, into.entries.security, place);
  const checked = crossCheck(daemon.values as DaemonConfig, security.values as SecurityConfig, into);
  if (into.problems.length > 0) return { ok: false, problems: into.problems };
  const sources = { daemon: daemon.sources, security: security.sources };
  return { ok: true, config: deepFreeze({ home, ...checked, sources, warnings: into.warnings }) };
};

/** The configuration without any file, override or variable. */
export const defaultConfig = (home: string = DEFAULT_HOME): Config => {
  const missing: ReadFile = () => {
    throw Object.assign(new Error("no file"), { code: "ENOENT" });
  };
  const result = loadConfig({ home, env: {}, readFile: missing });
  if (!result.ok) throw new Error(`the defaults are wrong: ${JSON.stringify(result.problems)}`);
  return result.config;
};

interface Wanted {
  readonly kind: "file" | "override";
  readonly file: string;
  readonly role: string;
  readonly required: boolean;
  readonly tree: TreeName;
  readonly at: readonly string[];
  readonly section: Section<Shape>;
}

/** In order of precedence, the last one wins. */
const filesOf = (home: string, { files }: LoadOptions): Wanted[] => {
  const daemon = resolve(files?.daemon ?? join(home, "config/daemon.json"));
  const security = resolve(files?.security ?? join(dirname(daemon), "security.json"));
  const beside = { kind: "file", required: false, tree: "daemon" } as const;
  return [
    {
      ...beside,
      file: daemon,
      role: "daemon.json",
      required: files?.daemon !== undefined,
      at: [],
      section: daemonFile,
    },
    {
      ...beside,
      file: join(dirname(daemon), "logging.json"),
      role: "logging.json",
      at: ["logging"],
      section: loggingFile,
    },
    {
      ...beside,
      file: join(dirname(daemon), "api-endpoints.json"),
      role: "api-endpoints.json",
      at: ["cloud_api"],
      section: endpointsFile,
    },
    {
      kind: "file",
      file: security,
      role: "security.json",
      required: files?.security !== undefined,
      tree: "security",
      at: [],
      section: securityFile,
    },
    { ...beside, kind: "override", file: overridesFile(home), role: "daemon.json", at: [], section: daemonFile },
  ];
};

const collectOne = (wanted: Wanted, options: LoadOptions, into: Collection): void => {
  const environment = wanted.kind === "file" ? options.env : undefined;
  if (wanted.kind === "override" && options.overrides !== undefined) {
    const text = JSON.stringify(options.overrides);
    collectFile({ ...wanted, text, document: parseJson(text) }, into);
    return;
  }
  const reading = readSource(wanted.file, options.readFile ?? readRegularFile);
  if (reading.status === "missing") {
    if (wanted.required) into.problems.push({ file: wanted.file, pointer: "", message: "does not exist" });
    return;
  }
  into.problems.push(...reading.problems);
  if (reading.status === "read") collectFile(unwrapped({ ...wanted, ...reading.source, environment }), into);
};

/** A companion file may also be written as its part of daemon.json: `{"logging": {…}}` as well as `{"level": …}`. */
const unwrapped = (layer: FileLayer): FileLayer => {
  const [name] = layer.at;
  const { value } = layer.document;
  if (name === undefined || typeof value !== "object" || value === null || !Object.hasOwn(value, name)) return layer;
  const wrapper = {
    kind: "section",
    summary: layer.role,
    remote: layer.section.remote,
    keys: { [name]: layer.section },
  } as const;
  return { ...layer, at: [], section: wrapper };
};
