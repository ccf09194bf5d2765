import type { Change } from "@hl/config/diff.ts";
import { maskSecrets } from "@hl/config/mask.ts";
import type { Config } from "@hl/config/load.ts";
import { problemInWords, toPointer } from "@hl/config/problem.ts";
import type { ConfigChange } from "@hl/protocol/config-change.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { Configuration } from "./configuration.ts";

type ConfigMethods = Extract<keyof DaemonMethods, `system/config/${string}`>;

export interface ConfigHandlerDeps {
  readonly configuration: Configuration;
  /** Told of each update that changed something, and of each that was refused. */
  readonly onUpdate: (caller: Caller, changes: readonly ConfigChange[]) => void;
  readonly onRefused: (caller: Caller, section: string, error: HlError) => void;
}

export function configHandlers(deps: ConfigHandlerDeps): Pick<Handlers<DaemonMethods>, ConfigMethods> {
  const { configuration, onUpdate, onRefused } = deps;
  return {
    "system/config/get": async ({ config_section: section = "", compare }) => {
      const path = pathOf(section);
      const all = shown(configuration.inForce);
      const config = path.reduce<unknown>(
        (at, name) => (isObject(at) && Object.hasOwn(at, name) ? at[name] : undefined),
        all,
      );
      if (config === undefined) {
        const text = `there is no section ${JSON.stringify(section)}; there are ${Object.keys(all).join(", ")}`;
        throw new HlError("config_invalid", text, { validation_errors: [text] });
      }
      const below = (changes: readonly Change[]): ConfigChange[] =>
        wireChanges(changes).filter((change) => isBelow(path, change));
      const rejected = configuration.rejected.map(problemInWords);
      return {
        config,
        sources: sourcesBelow(configuration.inForce, path),
        waiting: below(configuration.waiting),
        ...(rejected.length === 0 ? {} : { rejected }),
        ...(compare === undefined ? {} : { differences: below(configuration.differences(compare)) }),
      };
    },
    "system/config/update": async (
      { config_section: section, config_data: data, reset, dry_run: isDryRun },
      { caller },
    ) => {
      try {
        const change = { at: pathOf(section), data, reset: reset?.map(pathOf) };
        const update = configuration.update(change, isDryRun);
        const changes = wireChanges(update.changes);
        if (!isDryRun) onUpdate(caller, changes);
        return {
          success: true,
          restart_required: changes.some(({ reload }) => reload === "restart"),
          changes,
          waiting: wireChanges(update.waiting),
          overruled: [...update.overruled],
          ...(isDryRun ? { dry_run: true } : {}),
        };
      } catch (error) {
        if (error instanceof HlError) onRefused(caller, section, error);
        throw error;
      }
    },
  };
}

export function wireChanges(changes: readonly Change[]): ConfigChange[] {
  return changes.map(({ tree, ...change }) => ({ file: `${tree}.json` as const, ...change }));
}

/** security.json beside the sections of daemon.json, as it is shown. */
const securityName = "security_file";

function shown(config: Config): Record<string, unknown> {
  const masked = maskSecrets(config);
  return { ...masked.daemon, [securityName]: masked.security };
}

function sourcesBelow(config: Config, path: readonly string[]): Record<string, string> {
  const sources: Record<string, string> = {};
  for (const [file, of] of [
    ["daemon.json", config.sources.daemon],
    ["security.json", config.sources.security],
  ] as const)
    for (const [pointer, source] of Object.entries(of)) {
      if (source.kind === "default" || !isBelow(path, { file, pointer })) continue;
      sources[placeOf({ file, pointer })] = source.kind === "environment" ? source.variable : source.file;
    }
  return sources;
}

function isBelow(path: readonly string[], place: Pick<ConfigChange, "file" | "pointer">): boolean {
  const [pointer, around] = [placeOf(place), toPointer(path)];
  return pointer === around || pointer.startsWith(`${around}/`);
}

/** Among what is shown. */
function placeOf({ file, pointer }: Pick<ConfigChange, "file" | "pointer">): string {
  return file === "daemon.json" ? pointer : `/${securityName}${pointer}`;
}

function pathOf(section: string): string[] {
  return section === "" ? [] : section.split(".");
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}
