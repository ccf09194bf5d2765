import type { DatabaseSync } from "node:sqlite";
import { checkpointPages } from "@hl/core/store/log-file.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { Ballast } from "./ballast.ts";

/** What is wrong with the disk, and what the operator should read about it. */
export interface StoreTrouble {
  readonly kind: "disk_full" | "disk_failing";
  readonly reason: string;
}

/** On a full disk: moving the log into the database takes as much room again, and the last of the ballast has to be enough. */
const logPagesWhenFull = 64;

/**
 * Whether the database's disk takes what is written (S4).
 * States: well → full (a write found no room: the ballast is released) → well, when there is room for it again; well → failing (another
 * reason) → well, at the next write that succeeds.
 */
export class DiskSpace {
  readonly #ballast: Ballast;
  readonly #logger: Logger;
  #trouble: StoreTrouble | undefined;
  #onFull: () => void = () => {};
  #making: Promise<void> | undefined;

  constructor(path: string, logger: Logger, ballastBytes?: number) {
    this.#ballast = new Ballast(`${path}.ballast`, ballastBytes);
    this.#logger = logger;
  }

  get trouble(): StoreTrouble | undefined {
    return this.#trouble;
  }

  makeRoomWith(remove: () => void): void {
    this.#onFull = remove;
  }

  works(): void {
    if (this.#trouble?.kind === "disk_failing") this.#trouble = undefined;
  }

  failing(error: unknown): void {
    if (this.#trouble === undefined) this.#logger.error({ error: errorText(error) }, "the database cannot be written");
    this.#trouble ??= { kind: "disk_failing", reason: errorText(error) };
  }

  /** Whether the disk has no room for anything: SQLite says of a used-up quota only that a write has failed. */
  get lacksRoom(): boolean {
    try {
      return this.#ballast.lacksRoom();
    } catch {
      return false; // It fails in another way.
    }
  }

  /** Answers whether there was anything to release: then opening may be tried again. */
  releaseForOpening(error: unknown): boolean {
    if (!this.#ballast.isThere) return false;
    this.#ballast.releaseAll();
    this.#trouble = { kind: "disk_full", reason: errorText(error) };
    return true;
  }

  /**
   * Each of several writes that failed together comes here; what the first one did is soon done again.
   * @param isForRoom the write makes room itself, and gets the last of the ballast
   */
  makeRoom(sqlite: DatabaseSync, error: unknown, isForRoom: boolean): void {
    if (this.#trouble?.kind !== "disk_full") {
      this.#logger.error(
        { error: errorText(error) },
        "the disk is full: only what is critical is stored until it is not",
      );
    }
    this.#trouble = { kind: "disk_full", reason: errorText(error) };
    if (sqlite.isTransaction) return;
    const begin = (): void => sqlite.exec("PRAGMA wal_checkpoint(TRUNCATE)");
    this.#attempt("the log is kept short", () => {
      sqlite.exec(`PRAGMA wal_autocheckpoint = ${logPagesWhenFull}`);
    });
    this.#attempt("the ballast is released", () => (isForRoom ? this.#ballast.releaseAll() : this.#ballast.release()));
    this.#attempt("the log is begun anew", begin);
    this.#attempt("what was delivered is deleted", this.#onFull);
    this.#attempt("the log is begun anew", begin);
  }

  /** The last of the ballast is for the next write that makes room. */
  takeLast(): void {
    this.#attempt("the last of the ballast is taken back", () => this.#ballast.takeLast());
  }

  async checkSpace(sqlite: DatabaseSync): Promise<void> {
    try {
      if (this.#ballast.isThere && this.#trouble?.kind !== "disk_full") return;
      if (!this.#ballast.hasRoom()) return;
      this.#making ??= this.#ballast.make().finally(() => (this.#making = undefined));
      await this.#making;
    } catch (error) {
      this.#logger.warn({ error: errorText(error) }, "the ballast cannot be made");
      return;
    }
    if (this.#trouble?.kind !== "disk_full") return;
    if (sqlite.isOpen) sqlite.exec(`PRAGMA wal_autocheckpoint = ${checkpointPages}`);
    this.#trouble = undefined;
    this.#logger.info({}, "the disk has room again: all events are taken");
  }

  #attempt(what: string, step: () => void): void {
    try {
      step();
    } catch (error) {
      this.#logger.debug({ error: errorText(error), step: what }, "a step towards room on the disk failed");
    }
  }
}
