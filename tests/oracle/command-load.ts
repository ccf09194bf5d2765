/**
 * Asks for commands through the operators' interface of the cloud and writes down what was said. The only effect of each is a line in a
 * file of its own. A request without an answer is made again with the same command_id (C1).
 */
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@hl/core/clock.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import type { Operator } from "@hl/testkit/operator.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { CommandEnd, CommandLedger } from "./command-ledger.ts";
import { diskErrors } from "./event-load.ts";
import { Random } from "./random.ts";
import type { Traffic, World } from "./world.ts";

const workers = 4;
const pauseMsMax = 800;
const tryAgainMs = 100;
/** How long the cloud holds the answer of a VM that is away before it says that the request is queued. */
const waitSeconds = 1;
/** Refused before anything was recorded, or at least begun: rate_limited, shutting_down, the disk; and a VM that is away where nothing was queued. */
const tryLater = new Set([1003, 1005, ...diskErrors]);
const offline = 1701;

/** Before and after the effect, so that a fault meets it on either side. */
const script = 'sleep "$2"; printf "%s\\n" "$1" >> "effects/$1"; sleep "$3"; printf "%s\\n" "$1"';

interface Asked {
  readonly id: string;
  readonly params: object;
}

export class CommandLoad {
  readonly #seed: string;
  readonly #operator: Operator;
  readonly #effects: string;
  readonly #ledger: CommandLedger;
  readonly #traffic: Traffic;
  /** Requests that were queued: their ends are looked up later. */
  readonly #queued: (Asked & { readonly rpcId: string })[] = [];
  #next = 0;

  constructor(seed: string, { operator, daemon, traffic }: World, ledger: CommandLedger) {
    this.#seed = seed;
    this.#operator = operator;
    this.#traffic = traffic;
    this.#effects = join(daemon.workspace, "effects");
    this.#ledger = ledger;
    mkdirSync(this.#effects, { recursive: true });
  }

  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(Array.from({ length: workers }, (_, worker) => this.#work(worker, signal)));
  }

  async #work(worker: number, signal: AbortSignal): Promise<void> {
    const random = new Random(`${this.#seed} operator ${worker}`);
    while (!signal.aborted) {
      await this.execute(random);
      await systemClock.sleep(random.between(0, pauseMsMax), signal).catch(() => {});
    }
  }

  /** One command, until the cloud has taken it on. */
  async execute(random: Random): Promise<string> {
    const id = `c${this.#next++}`;
    this.#ledger.issued(id);
    const seconds = (): string => (random.next() < 0.6 ? 0 : random.between(1, 15) / 10).toFixed(1);
    const params = { command_id: id, command: "sh", args: ["-c", script, "sh", id, seconds(), seconds()] };
    await this.#ask({ id, params });
    return id;
  }

  /** Until the command has an answer or is queued. */
  async #ask(asked: Asked): Promise<void> {
    const { id, params } = asked;
    const message = { jsonrpc: "2.0", id: 1, method: "command/execute", params };
    for (;;) {
      const answer: Message = await this.#operator.post(message, waitSeconds).catch(() => undefined);
      const rpcId: string | undefined = answer?.error?.data?.rpc_id;
      if (diskErrors.has(answer?.error?.code)) this.#traffic.refused += 1;
      if (answer?.error?.code === offline && answer.error.data?.queued === true && rpcId !== undefined) {
        this.#ledger.acknowledged(id);
        this.#queued.push({ ...asked, rpcId });
        return;
      }
      if (answer !== undefined && answer.error?.code !== offline && !tryLater.has(answer.error?.code)) {
        this.#ledger.ended(id, endOf(answer));
        return;
      }
      await systemClock.sleep(tryAgainMs);
    }
  }

  /**
   * Looks up what was queued; what has no end after `ms` stays without. A cloud that was restored has forgotten some of it, and a disk
   * has refused some: these are asked for again under their command_id, which is the promise (C1).
   */
  async settle(ms: number): Promise<void> {
    const deadline = systemClock.now() + ms;
    for (let queued = this.#queued.shift(); queued !== undefined; queued = this.#queued.shift()) {
      const { id, rpcId } = queued;
      const left = Math.max(0, deadline - systemClock.now());
      const record = await until(
        `the end of ${id}`,
        async () => {
          const seen = await this.#operator.request(rpcId);
          return seen?.settled_at === null ? undefined : seen;
        },
        left,
      ).catch(() => undefined);
      if (record === undefined) continue;
      const answer: Message = record.answer ?? { error: record.error };
      const isForgotten = record.answer === undefined || tryLater.has(answer.error?.code);
      if (isForgotten && deadline > systemClock.now()) await this.#ask(queued);
      else this.#ledger.ended(id, endOf(answer));
    }
  }

  /** Counts the lines that every command has left. */
  countEffects(): void {
    for (const name of readdirSync(this.#effects)) {
      const lines = readFileSync(join(this.#effects, name), "utf8").split("\n");
      this.#ledger.effects(name, lines.length - 1);
    }
  }
}

function endOf(answer: Message): CommandEnd {
  if (answer.error !== undefined) return { status: `error ${answer.error.code}`, stdout: undefined };
  const { status, reason, stdout, stdout_truncated: isTruncated } = answer.result;
  return {
    status: status === "completed" ? status : `${status} (${reason})`,
    stdout: isTruncated === true ? undefined : stdout,
  };
}
