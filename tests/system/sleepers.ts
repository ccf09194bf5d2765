/**
 * Processes that a test can find again: `sleep` with a number of seconds that nobody else uses.
 */
import { randomInt } from "node:crypto";
import { processesNaming } from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";

export class Sleepers {
  /** The argument for `sleep`. */
  readonly seconds = `300.${randomInt(1_000_000_000, 2_000_000_000)}`;

  /** The sleeping programs themselves, not a shell that was given the number in its script. */
  alive(): number[] {
    const scripts = new Set(processesNaming(`sleep ${this.seconds}`));
    return processesNaming(this.seconds).filter((pid) => !scripts.has(pid));
  }

  /** Everything that mentions the number, the shells that started them too. */
  all(): number[] {
    return processesNaming(this.seconds);
  }

  async areThere(count: number): Promise<void> {
    await until(`${count} sleepers`, () => this.alive().length === count);
  }

  /** For ends that nothing announces. */
  async areGone(): Promise<void> {
    await until("the sleepers to be gone", () => this.all().length === 0);
  }
}
