import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf, ResultOf } from "@hl/protocol/method.ts";
import type { FileChanged, fileWatch } from "@hl/protocol/methods/file-watch.ts";
import type { Access } from "../access.ts";
import { BurstMeter, burstEventsMax } from "./burst-meter.ts";
import { PendingChanges } from "./pending-changes.ts";
import { TreeWatcher } from "./tree-watcher.ts";

export interface WatchLimits {
  readonly watchesMax: number;
  /** Of one watch. */
  readonly namesMax: number;
  /** Paths whose changes wait for the reader of one watch. */
  readonly pendingMax: number;
  readonly burstEventsMax: number;
}

const limitsDefault = { watchesMax: 64, namesMax: 200_000, pendingMax: 10_000 };

/** The watches of hl-workspace. Each holds what nobody has taken yet; the daemon asks for the next batch when its reader has room. */
export class Watches {
  readonly #clock: Clock;
  readonly #limits: WatchLimits;
  readonly #watches = new Map<string, Watch>();
  readonly #meter: BurstMeter;

  constructor(clock: Clock, limits?: Partial<WatchLimits>) {
    this.#clock = clock;
    this.#limits = { ...limitsDefault, burstEventsMax: burstEventsMax(), ...limits };
    this.#meter = new BurstMeter(this.#limits.burstEventsMax, () => {
      for (const { tree } of this.#watches.values()) tree.overrun();
    });
  }

  /** Nothing is left of a watch whose signal aborts before it is answered: nobody knows its id. */
  async begin(
    access: Access,
    params: ParamsOf<typeof fileWatch>,
    signal: AbortSignal,
  ): Promise<ResultOf<typeof fileWatch>> {
    const { watchesMax, namesMax, pendingMax } = this.#limits;
    if (this.#watches.size >= watchesMax) {
      throw new HlError("process_limit", `${watchesMax} watches are there, and no more can be`, {
        watches_max: watchesMax,
      });
    }
    const { recursive, exclude } = params;
    const place = access.follow(params.path);
    const id = randomUUID();
    const mail = new Mail(pendingMax);
    const tree = new TreeWatcher({
      ...{ access, place, recursive, namesMax, clock: this.#clock, exclude: new Set(exclude) },
      onEvent: () => this.#meter.note(),
      onChange: (path, type) => mail.pending.add(path, type),
      onGap: () => {
        mail.pending.lose();
        mail.deliver();
      },
      onLooked: () => mail.deliver(),
      onEnd: (why) => mail.end(why),
    });
    this.#watches.set(id, { tree, mail });
    try {
      await tree.begin(signal);
    } catch (error) {
      this.end(id);
      throw error;
    }
    return { watch_id: id, path: place };
  }

  /** The next batch, when there is one. */
  async next(id: string, signal: AbortSignal): Promise<FileChanged> {
    const watch = this.#watches.get(id);
    if (watch === undefined) return { watch_id: id, changes: [], ended: "there is no such watch any more" };
    const { mail } = watch;
    await mail.arrives(signal);
    const { changes, gap } = mail.pending.take();
    const isLast = mail.ended !== undefined && mail.pending.isEmpty;
    if (isLast) this.end(id);
    return {
      watch_id: id,
      changes,
      ...(gap ? { gap } : {}),
      ...(isLast ? { ended: mail.ended } : {}),
    };
  }

  end(id: string): void {
    const watch = this.#watches.get(id);
    this.#watches.delete(id);
    watch?.tree[Symbol.dispose]();
    watch?.mail.end("it was ended");
  }
}

interface Watch {
  readonly tree: TreeWatcher;
  readonly mail: Mail;
}

/** What a watch has for its reader. */
class Mail {
  readonly pending: PendingChanges;
  /** Why nothing more comes, when that is so. */
  ended: string | undefined;
  #wake: (() => void) | undefined;

  constructor(pendingMax: number) {
    this.pending = new PendingChanges(pendingMax);
  }

  /** Lets the reader have what is there. */
  deliver(): void {
    this.#wake?.();
  }

  end(why: string): void {
    this.ended ??= why;
    this.deliver();
  }

  /** Resolves when there is something to take. */
  async arrives(signal: AbortSignal): Promise<void> {
    while (this.pending.isEmpty && this.ended === undefined) {
      signal.throwIfAborted();
      const { promise, resolve } = Promise.withResolvers<undefined>();
      const wake = (): void => resolve(undefined);
      this.#wake = wake;
      signal.addEventListener("abort", wake, { once: true });
      await promise;
      signal.removeEventListener("abort", wake);
    }
  }
}
