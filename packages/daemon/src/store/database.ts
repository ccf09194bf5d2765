import { randomUUID } from "node:crypto";
import type { DatabaseSync, SQLInputValue, SQLOutputValue, StatementSync } from "node:sqlite";
import { systemClock, type Clock } from "@hl/core/clock.ts";
import { errorText, silentLogger, type Logger } from "@hl/core/logger.ts";
import type { Urgency } from "@hl/core/store/group-commit.ts";
import { isCorrupt, isDiskFailure, isNoSpace } from "@hl/core/store/sqlite-error.ts";
import { openFileOf, statementOf, type OpenFile } from "./open-file.ts";
import { DiskSpace, type StoreTrouble } from "./disk-space.ts";
import { openOrSalvage, setAsideFile, type Opened, type Where } from "./open-or-salvage.ts";
import type { Rescued } from "./salvage.ts";
import { runAll, runFor, runInSlices } from "./steps.ts";
import { beingSaved, refusalOf } from "./store-refusal.ts";

export type Row = Record<string, SQLOutputValue>;

/** A statement of whichever file is open when it is used. */
export interface Statement {
  get(...values: SQLInputValue[]): Row | undefined;
  all(...values: SQLInputValue[]): Row[];
  run(...values: SQLInputValue[]): ReturnType<StatementSync["run"]>;
}

export type DatabaseClock = Pick<Clock, "after" | "now" | "wallMs">;

interface Work<T> {
  readonly run: () => T;
  readonly urgency: Urgency | undefined;
  readonly makesRoom: boolean;
}

/**
 * The one SQLite database of the daemon (S5). All writes go through `write`, which resolves only after the sync (S1); reads see
 * what is committed, which may be a little more than what is durable.
 *
 * States (S4): well → disk full (a write found no room: the ballast is released, the write tried once more) → well, when there is room
 * for the ballast again. Whatever finds the file corrupt has it set aside, what can be read of it saved in a new one, and is done
 * again there: the daemon goes on. What can be saved in half a second is, at once; else well → being saved → well: reads are refused
 * until then, writes wait, and the event loop goes on.
 */
export class Database implements Disposable {
  readonly #path: string;
  readonly #clock: DatabaseClock;
  readonly #logger: Logger;
  readonly #disk: DiskSpace;
  readonly #onReplaced: ((rescued: Rescued | undefined) => void)[] = [];
  readonly #statements = new Map<string, Statement>();
  #file: OpenFile;
  #epoch: string;
  #setAside: string | undefined;
  /** Settles when another file has taken the place of a corrupt one; undefined where nothing is being saved. */
  #saving: Promise<void> | undefined;
  readonly #closing = new AbortController();
  #serving = false;

  /** @param ballastBytes what is kept free for a full disk */
  constructor(path: string, clock: DatabaseClock = systemClock, logger: Logger = silentLogger, ballastBytes?: number) {
    this.#path = path;
    this.#clock = clock;
    this.#logger = logger;
    this.#disk = new DiskSpace(path, logger, ballastBytes);
    this.#file = this.#openAnyhow();
    this.#epoch = this.#loadEpoch();
    this.#setAside = setAsideFile(path);
  }

  /** Sequence numbers are comparable inside an epoch only (S3). */
  get epoch(): string {
    return this.#epoch;
  }

  get trouble(): StoreTrouble | undefined {
    return this.#disk.trouble;
  }

  /** What could be read of a corrupt file is being saved: reads are refused meanwhile. */
  get isBeingSaved(): boolean {
    return this.#saving !== undefined;
  }

  /** A corrupt file that was set aside and that nobody has removed yet. */
  get setAside(): string | undefined {
    return this.#setAside;
  }

  /**
   * Calls back, synchronously, when what was derived from rows is not true any more: another file has taken the place of a corrupt one, or
   * a sync had failed, and what was refused then may be there all the same.
   */
  onReplaced(listener: (rescued: Rescued | undefined) => void): void {
    this.#onReplaced.push(listener);
  }

  /** What can be deleted when the disk is full; called outside of transactions, and may throw. */
  makeRoomWith(remove: () => void): void {
    this.#disk.makeRoomWith(remove);
  }

  /** Resolves when the new epoch is durable, with the answer of `alongside`, which is part of the same transaction. */
  async beginEpoch<T>(alongside: () => T): Promise<T> {
    const epoch = randomUUID();
    const answer = await this.write(() => {
      this.prepare("UPDATE meta SET value = ? WHERE key = 'epoch'").run(epoch);
      return alongside();
    });
    this.#epoch = epoch;
    return answer;
  }

  /** Reads at once; for use inside `write` and for queries. Statements are prepared once for each file. */
  prepare(sql: string): Statement {
    const known = this.#statements.get(sql);
    if (known !== undefined) return known;
    const statement: Statement = {
      get: (...values) => this.#use(sql, (prepared) => prepared.get(...values)),
      all: (...values) => this.#use(sql, (prepared) => prepared.all(...values)),
      run: (...values) => this.#use(sql, (prepared) => prepared.run(...values)),
    };
    this.#statements.set(sql, statement);
    return statement;
  }

  /**
   * Reads rows and makes sense of them. Where a text is not what was written (a `SyntaxError`), the file is corrupt though SQLite
   * cannot see it: it is replaced without such rows, and read again.
   */
  read<T>(work: () => T): T {
    const file = this.#file;
    try {
      return work();
    } catch (error) {
      if (!(error instanceof SyntaxError) || this.#file.sqlite.isTransaction) throw error;
      this.#replace(file, error);
      return work();
    }
  }

  /** From now on somebody is served, and nothing may hold the event loop for long. A start waits: without what it reads there is none. */
  beginServing(): void {
    this.#serving = true;
  }

  /** Runs `work` in the next transaction; resolves with its result once that is durable. */
  write<T>(work: () => T, urgency?: Urgency): Promise<T> {
    return this.#write({ run: work, urgency, makesRoom: false });
  }

  /** The same for what makes room: on a full disk it gets the last that there is. */
  writeMakingRoom<T>(work: () => T): Promise<T> {
    return this.#write({ run: work, urgency: "now", makesRoom: true });
  }

  /** To be called now and then: when the disk has room again, everything is taken again. */
  async checkSpace(): Promise<void> {
    this.#setAside = setAsideFile(this.#path);
    await this.#disk.checkSpace(this.#file.sqlite);
  }

  [Symbol.dispose](): void {
    this.#closing.abort(new Error("the database is closed"));
    const { sqlite, commit, log } = this.#file;
    if (!sqlite.isOpen) return;
    try {
      commit.flush();
    } finally {
      sqlite.close();
      log[Symbol.dispose]();
    }
  }

  #use<T>(sql: string, work: (statement: StatementSync) => T): T {
    const file = this.#file;
    if (this.#saving !== undefined) throw beingSaved();
    try {
      return work(statementOf(file, sql));
    } catch (error) {
      // Inside a transaction it is for whoever wrote it: all of it is done again.
      if (!isCorrupt(error) || file.sqlite.isTransaction) throw error;
      this.#replace(file, error);
      if (this.isBeingSaved) throw beingSaved();
      return work(statementOf(this.#file, sql));
    }
  }

  #write<T>(work: Work<T>): Promise<T> {
    if (this.#saving !== undefined) return this.#saving.then(() => this.#write(work));
    const file = this.#file;
    const written = file.commit.run(work.run, work.urgency);
    if (this.#disk.trouble?.kind !== "disk_failing")
      return written.catch((error: unknown) => this.#afterFailure(error, file, work));
    const succeeded = (result: T): T => {
      this.#disk.works();
      return result;
    };
    return written.then(succeeded, (error: unknown) => this.#afterFailure(error, file, work));
  }

  async #afterFailure<T>(error: unknown, file: OpenFile, work: Work<T>): Promise<T> {
    if (isCorrupt(error)) this.#replace(file, error);
    else if (isNoSpace(error) || (isDiskFailure(error) && this.#disk.lacksRoom)) return this.#onceMore(error, work);
    else if (error !== replaced) {
      if (isDiskFailure(error)) this.#disk.failing(error);
      throw refusalOf(error);
    }
    await this.#saving;
    return this.#file.commit.run(work.run, work.urgency);
  }

  async #onceMore<T>(error: unknown, { run, urgency, makesRoom }: Work<T>): Promise<T> {
    this.#disk.makeRoom(this.#file.sqlite, error, makesRoom);
    try {
      return await this.#file.commit.run(run, urgency);
    } catch (again) {
      throw refusalOf(again);
    } finally {
      if (makesRoom) this.#disk.takeLast();
    }
  }

  /** @param file the one that was found corrupt: somebody else may have replaced it since */
  #replace(file: OpenFile, error: unknown): void {
    if (file !== this.#file || this.isBeingSaved) return;
    // V8 quotes the text that is no JSON, which may hold a secret (X4).
    const reason = error instanceof SyntaxError ? "a text in it is not JSON" : errorText(error);
    this.#logger.error({ error: reason }, "the database is corrupt: it is set aside, and what can be read is saved");
    file.commit.abandon(replaced);
    try {
      file.sqlite.close();
    } catch {
      // It is given up anyway.
    }
    file.log[Symbol.dispose]();
    const steps = openOrSalvage(this.#where, reason);
    const saved = runFor(steps, this.#clock, this.#serving ? atOnceMs : Infinity);
    this.#setAside = setAsideFile(this.#path);
    if (saved !== undefined) this.#goOnIn(saved.result);
    else this.#saving = this.#save(steps);
    this.#saving?.catch(() => {}); // Whoever waits for it hears of it.
  }

  async #save(steps: ReturnType<typeof openOrSalvage>): Promise<void> {
    try {
      const opened = await runInSlices(steps, this.#clock, sliceMs, this.#closing.signal);
      this.#saving = undefined; // Listeners read.
      this.#goOnIn(opened);
    } catch (error) {
      this.#saving = undefined;
      if (!this.#closing.signal.aborted)
        this.#logger.error({ error: errorText(error) }, "there is no database any more");
      throw error;
    }
  }

  #goOnIn({ sqlite, rescued }: Opened): void {
    this.#file = this.#fileOf(sqlite);
    this.#epoch = this.#loadEpoch();
    for (const listener of this.#onReplaced) listener(rescued);
  }

  /** On a full disk SQLite may not even be able to open what is there. */
  #openAnyhow(): OpenFile {
    try {
      return this.#open();
    } catch (error) {
      if (!this.#disk.releaseForOpening(error)) throw error;
      return this.#open();
    }
  }

  get #where(): Where {
    return { path: this.#path, logger: this.#logger, wallMs: this.#clock.wallMs() };
  }

  /** At the start, when nobody is served yet. */
  #open(): OpenFile {
    return this.#fileOf(runAll(openOrSalvage(this.#where)).sqlite);
  }

  #fileOf(sqlite: DatabaseSync): OpenFile {
    const onRenewed = (): void => this.#onReplaced.forEach((listener) => listener(undefined));
    return openFileOf(sqlite, this.#path, { clock: this.#clock, onRenewed });
  }

  #loadEpoch(): string {
    this.prepare("INSERT OR IGNORE INTO meta VALUES ('epoch', ?)").run(randomUUID());
    return this.prepare("SELECT value FROM meta WHERE key = 'epoch'").get()?.["value"] as string;
  }
}

/** Given to the writes that waited for a file that has been replaced: they are done again in the new one. */
const replaced = new Error("the database has been replaced");

/** A corrupt file that takes longer to save is saved in slices. A supervisor and the cloud do not notice a pause of this length. */
const atOnceMs = 500;
const sliceMs = 20;
