/**
 * Hands events over to the daemon's socket, several at a time, and writes down what was said. An attempt that broke before its answer is
 * made again under the same id, as the contract has it, until there is one.
 */
import { systemClock } from "@hl/core/clock.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import { CallFailed, type MessageClient } from "@hl/testkit/message-client.ts";
import type { EventLedger } from "./event-ledger.ts";
import { batchIds, eventId, eventOf } from "./payload.ts";
import { Random } from "./random.ts";
import type { Traffic, World } from "./world.ts";

export const diskErrors: ReadonlySet<number> = new Set([errorTable.no_space.code, errorTable.store_failing.code]);

/** Longer than any fault, so that only a lost answer takes so long. */
const answerMsMax = 60_000;
const workers = 8;
const pauseMsMax = 250;
const tryAgainMs = 50;
/** Every so many events a group whose sum is a whole batch. */
const batchEvery = 400;

export class EventLoad implements AsyncDisposable {
  readonly #seed: string;
  readonly #daemon: World["daemon"];
  readonly #ledger: EventLedger;
  readonly #traffic: Traffic;
  #client: Promise<MessageClient> | undefined;
  #next = 0;
  #isOver = false;

  constructor(seed: string, { daemon, traffic }: Pick<World, "daemon" | "traffic">, ledger: EventLedger) {
    this.#seed = seed;
    this.#daemon = daemon;
    this.#ledger = ledger;
    this.#traffic = traffic;
  }

  /** The number of the next event. */
  get next(): number {
    return this.#next;
  }

  /** Until the signal aborts, and then until every event has its answer. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: workers }, (_, worker) => this.#work(worker, signal)));
  }

  /** Whatever has no answer yet gets none any more: where a fault itself went wrong, nobody may be there to give it. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.#isOver = true;
    const client = await this.#client?.catch(() => undefined);
    this.#client = undefined;
    client?.[Symbol.dispose]();
  }

  async #work(worker: number, signal: AbortSignal): Promise<void> {
    const random = new Random(`${this.#seed} worker ${worker}`);
    while (!signal.aborted) {
      const number = this.#next++;
      const delta = random.pick([-1, 0, 1]);
      const ids =
        number % batchEvery === batchEvery - 1 ? batchIds(this.#seed, number, delta) : [eventId(this.#seed, number)];
      await Promise.all(ids.map((id) => this.handOver(id)));
      await systemClock.sleep(random.between(0, pauseMsMax), signal).catch(() => {});
    }
  }

  /** One connection for all; when it is gone with the daemon, whoever comes first opens the next one. */
  #connect(): Promise<MessageClient> {
    const connecting = this.#daemon.connect();
    const forget = (): void => {
      if (this.#client === connecting) this.#client = undefined;
    };
    connecting.then((client) => client.closed).then(forget, forget);
    return connecting;
  }

  /** Resolves with whether it was accepted, after as many attempts as an answer takes. */
  async handOver(id: string): Promise<boolean> {
    const event = eventOf(id);
    while (!this.#isOver) {
      try {
        const client = await (this.#client ??= this.#connect());
        const { seq } = await client.call("event/stream", event, answerMsMax);
        this.#ledger.accepted(id, seq);
        this.#traffic.accepted += 1;
        return true;
      } catch (error) {
        if (error instanceof CallFailed) {
          if (diskErrors.has(error.error.code)) this.#traffic.refused += 1;
          // Whether it was recorded is not known, as if there had been no answer.
          if (error.error.code !== errorTable.store_failing.code) {
            this.#ledger.refused(id, error.error.code);
            return false;
          }
        }
        this.#ledger.unanswered(id);
        await systemClock.sleep(tryAgainMs);
      }
    }
    return false;
  }
}
