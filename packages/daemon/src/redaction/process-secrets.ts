import { readFileSync } from "node:fs";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { secretVariables } from "./secret-variables.ts";
import type { Secrets } from "./secrets.ts";

/** The secrets in the environments of processes, for whoever starts them and finds them again (X4). */
export class ProcessSecrets {
  readonly #secrets: Pick<Secrets, "hold" | "release">;
  readonly #logger: Logger;

  constructor(secrets: Pick<Secrets, "hold" | "release">, logger: Logger) {
    this.#secrets = secrets;
    this.#logger = logger;
  }

  /** As `Secrets.hold`. */
  hold(owner: string, environment: Readonly<Record<string, string>>): void {
    this.#secrets.hold(owner, environment);
  }

  /**
   * Takes up what is secret in the environment of a process that an earlier life of the daemon has started: it is on no disk, but the
   * kernel still has it. A process that has changed its program and environment since shows the new one. Where it cannot be read, or
   * there is no room, the log and the answer say so; it is not ended for that, which would lose more.
   * @param pid of the main process
   */
  holdRunning(owner: string, pid: number): boolean {
    try {
      this.#secrets.hold(owner, environmentOf(pid));
      return true;
    } catch (error) {
      const fields = { owner, pid, error: errorText(error) };
      this.#logger.warn(fields, "the secrets of a process of before are not known: events are not searched for them");
      return false;
    }
  }

  release(owner: string): void {
    this.#secrets.release(owner);
  }

  /** The names of the variables that are secret. */
  namesIn(environment: Readonly<Record<string, string>>): string[] {
    return secretVariables(environment).map(({ name }) => name);
  }

  /** The variables that a process began its present program with; undefined where they cannot be read. */
  environmentOf(pid: number): Record<string, string> | undefined {
    try {
      return environmentOf(pid);
    } catch {
      return undefined;
    }
  }
}

/** The variables that the process began its present program with. */
function environmentOf(pid: number): Record<string, string> {
  const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  return Object.fromEntries(
    entries.flatMap((entry) => {
      const at = entry.indexOf("=");
      return at > 0 ? [[entry.slice(0, at), entry.slice(at + 1)]] : [];
    }),
  );
}
