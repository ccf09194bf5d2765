import { copyFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { diffConfig, type Change } from "@hl/config/diff.ts";
import { loadForStart, type StartResult } from "@hl/config/load-for-start.ts";
import { loadConfig, overridesFile, type Config, type LoadOptions } from "@hl/config/load.ts";
import { changeOverrides, overruled, type Overrides, type OverridesChange } from "@hl/config/overrides.ts";
import { problemInWords, type Problem } from "@hl/config/problem.ts";
import { FILE_BYTES_MAX, rememberingReader, type ReadFile } from "@hl/config/source-file.ts";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import { errorText } from "@hl/core/logger.ts";
import { isNoSpace } from "@hl/core/store/sqlite-error.ts";
import { HlError } from "@hl/protocol/errors.ts";

/** Where a configuration is read: the same for the start and for every time after. */
export type ConfigurationPlace = Pick<LoadOptions, "files" | "env" | "testMode"> & { readonly home: string };

/** What was found there at the start. */
export type FoundConfiguration = Extract<StartResult, { ok: true }> & {
  readonly place: ConfigurationPlace;
  /** The files as they were. */
  readonly readFile: ReadFile;
};

/** What runs by it. */
export interface Live {
  readonly inForce: Config;
  /** What the next start would find. */
  readonly newest: Config;
  readonly waiting: readonly Change[];
  /** Throws, with everything as before, where somebody cannot take his part. */
  take(next: Config): void;
}

export interface Update {
  /** Against what held, or was to hold at the next start. */
  readonly changes: readonly Change[];
  readonly waiting: readonly Change[];
  readonly overruled: readonly { readonly pointer: string; readonly variable: string }[];
}

export interface ConfigurationOptions {
  readonly live: Live;
  readonly found: FoundConfiguration;
  /** Replaces the overrides file as a whole. */
  readonly write?: ((path: string, text: string) => void) | undefined;
}

const overridesMode = 0o640;
const rejectedSuffix = ".rejected";

/** Reads the configuration as a start does, and remembers the files. */
export function findConfiguration(place: ConfigurationPlace): FoundConfiguration | Extract<StartResult, { ok: false }> {
  const readFile = rememberingReader();
  const result = loadForStart({ ...place, readFile });
  return result.ok ? { ...result, place, readFile } : result;
}

/**
 * The configuration of a daemon that runs: changed by `system/config/update`, which keeps its changes in the overrides file, and read again
 * at SIGHUP. Either judges the whole before anything changes. Both are done within one turn of the loop, so no two of them mix.
 * An update looks at the files as they were last read: what somebody is just writing there waits for a reload.
 */
export class Configuration {
  readonly #live: Live;
  readonly #write: (path: string, text: string) => void;
  readonly #place: ConfigurationPlace;
  #readFile: ReadFile;
  #overrides: Overrides;
  #rejected: readonly Problem[];
  #isClosed = false;

  constructor({ live, found, write }: ConfigurationOptions) {
    this.#live = live;
    this.#write = write ?? ((path, text) => writeFileAtomic(path, text, overridesMode));
    this.#place = found.place;
    this.#readFile = found.readFile;
    this.#overrides = found.overrides;
    this.#rejected = found.rejected;
  }

  get inForce(): Config {
    return this.#live.inForce;
  }

  get waiting(): readonly Change[] {
    return this.#live.waiting;
  }

  /** What is wrong in the overrides file and does not hold, until the next update leaves it out. */
  get rejected(): readonly Problem[] {
    return this.#rejected;
  }

  /** The daemon stops: what is changed now would be told to nobody. */
  close(): void {
    this.#isClosed = true;
  }

  update(change: OverridesChange, isDryRun: boolean): Update {
    if (this.#isClosed) throw new HlError("shutting_down", "the daemon is stopping and changes no settings");
    const changed = changeOverrides(this.#overrides, change);
    if (!changed.ok) {
      const type = changed.reason === "read_only" ? "config_read_only" : "config_invalid";
      throw invalid(type, changed.messages);
    }
    const { overrides } = changed;
    const text = `${JSON.stringify(overrides, null, 2)}\n`;
    if (Buffer.byteLength(text) > FILE_BYTES_MAX)
      throw invalid("config_invalid", [`the overrides file would be larger than ${FILE_BYTES_MAX} bytes`]);
    const loaded = loadConfig({ ...this.#place, readFile: this.#readFile, overrides });
    if (!loaded.ok) throw invalid("config_invalid", loaded.problems.map(problemInWords));
    const changes = diffConfig(this.#live.newest, loaded.config);
    const outranked = overruled(loaded.config, overrides);
    if (isDryRun)
      return {
        changes,
        waiting: diffConfig(this.#live.inForce, loaded.config).filter(isForRestart),
        overruled: outranked,
      };
    this.#keep(overrides, text, () => this.#live.take(loaded.config));
    return { changes, waiting: this.waiting, overruled: outranked };
  }

  /** Reads the files again. Answers what differs, or what is wrong; then nothing has changed. */
  reload():
    | { readonly ok: true; readonly changes: readonly Change[] }
    | { readonly ok: false; readonly problems: readonly Problem[] } {
    const readFile = rememberingReader();
    const loaded = loadForStart({ ...this.#place, readFile });
    if (!loaded.ok) return loaded;
    // Overrides that were wrong at the start must not keep an operator from reloading the files.
    if (loaded.rejected.length > 0 && this.#rejected.length === 0) return { ok: false, problems: loaded.rejected };
    const changes = diffConfig(this.#live.newest, loaded.config);
    this.#live.take(loaded.config);
    this.#readFile = readFile;
    this.#overrides = loaded.overrides;
    this.#rejected = loaded.rejected;
    return { ok: true, changes };
  }

  /** What is in force against the defaults, or the files as they are now against what is in force. */
  differences(from: "defaults" | "files"): Change[] {
    if (from === "defaults") return diffConfig(this.#defaults(), this.inForce);
    const loaded = loadConfig(this.#place);
    if (!loaded.ok) throw invalid("config_invalid", loaded.problems.map(problemInWords));
    return diffConfig(this.inForce, loaded.config);
  }

  /** The file first: what holds now must also hold after a crash. */
  #keep(overrides: Overrides, text: string, take: () => void): void {
    const path = overridesFile(this.inForce.home);
    const isNew = !isDeepStrictEqual(overrides, this.#overrides) || this.#rejected.length > 0;
    try {
      if (this.#rejected.length > 0) copyFileSync(path, `${path}${rejectedSuffix}`);
      if (isNew) this.#write(path, text);
    } catch (error) {
      const type = isNoSpace(error) ? "no_space" : "config_not_saved";
      throw new HlError(
        type,
        `${path} cannot be written: ${errorText(error)}; nothing was changed`,
        {},
        { cause: error },
      );
    }
    try {
      take();
    } catch (error) {
      this.#write(path, `${JSON.stringify(this.#overrides, null, 2)}\n`);
      throw error;
    }
    this.#overrides = overrides;
    this.#rejected = [];
  }

  #defaults(): Config {
    const missing: ReadFile = () => {
      throw Object.assign(new Error("no file"), { code: "ENOENT" });
    };
    const { home, testMode } = this.#place;
    const loaded = loadConfig({ home, testMode, env: {}, readFile: missing });
    if (!loaded.ok) throw invalid("config_invalid", loaded.problems.map(problemInWords));
    return loaded.config;
  }
}

const isForRestart = ({ reload }: Change): boolean => reload === "restart";

function invalid(type: "config_invalid" | "config_read_only", messages: readonly string[]): HlError {
  const [first = ""] = messages;
  const more = messages.length > 1 ? ` (and ${messages.length - 1} more)` : "";
  return new HlError(type, `${first}${more}`, { validation_errors: messages });
}
