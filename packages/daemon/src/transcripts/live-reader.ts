import type { AgentItem } from "@hl/protocol/methods/claude-subscribe.ts";

/** What waits for a reader that is too slow for it: the finished message follows and has it all. */
const itemsMax = 256;
const bytesMax = 256 * 1024;

interface Live {
  readonly item: AgentItem;
  /** What was kept last when it came: it belongs behind that and before the next. */
  readonly behind: number;
  readonly bytes: number;
}

/** What one reader is told and what is not kept; bounded, since nobody waits for a slow one (P5, P7). */
export class LiveReader {
  #waiting: Live[] = [];
  #bytes = 0;
  /** After one was left out, the others of the same message would be read wrongly: they are left out as well. */
  #leftOutBehind: number | undefined;
  #wake = (): void => {};

  /** Resolves when there is something new. To be taken before one looks whether there is. */
  woken(): Promise<void> {
    return new Promise((resolve) => (this.#wake = resolve));
  }

  wake(): void {
    this.#wake();
  }

  /** @param bytes of the item, about */
  offer(item: AgentItem, behind: number, bytes: number): void {
    if (this.#leftOutBehind === behind) return;
    if (this.#waiting.length >= itemsMax || this.#bytes + bytes > bytesMax) {
      this.leaveOut(behind);
      return;
    }
    this.#waiting.push({ item, behind, bytes });
    this.#bytes += bytes;
    this.wake();
  }

  /** One is missing, and with it the rest of its message. */
  leaveOut(behind: number): void {
    this.#waiting = [];
    this.#bytes = 0;
    this.#leftOutBehind = behind;
  }

  /**
   * The next for a reader that has everything up to `cursor`, and `upTo` all that can be had for now. What it has passed is in what it was
   * told since.
   */
  next(cursor: number, upTo: number): AgentItem | undefined {
    while (this.#waiting[0] !== undefined && this.#waiting[0].behind < cursor) this.#take();
    return (this.#waiting[0]?.behind ?? Infinity) <= upTo ? this.#take() : undefined;
  }

  #take(): AgentItem | undefined {
    const first = this.#waiting.shift();
    this.#bytes -= first?.bytes ?? 0;
    return first?.item;
  }
}
