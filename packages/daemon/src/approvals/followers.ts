import type { Approval } from "@hl/protocol/methods/approval-list.ts";

export interface FollowOptions {
  /** Of every agent where undefined. */
  readonly processId: string | undefined;
  /** What is told first. */
  readonly pending: readonly Approval[];
  readonly notify: (approval: Approval) => Promise<void>;
  readonly signal: AbortSignal;
}

interface Follower {
  readonly processId: string | undefined;
  /** The newest state of each that is still to be told (P5). */
  readonly waiting: Map<string, Approval>;
  /** What the reader was told is pending. */
  readonly told: Set<string>;
  wake: () => void;
}

/** Ends that a reader is behind with, of requests that it has never heard of; more are not told. */
const unheardMax = 100;

/** Who wants to know of approvals. What waits for a slow reader is bounded by what is open, and `unheardMax` (P7). */
export class Followers {
  readonly #followers = new Set<Follower>();

  changed(approval: Approval): void {
    const { approval_id: id, process_id: processId, state } = approval;
    for (const follower of this.#followers) {
      if (follower.processId !== undefined && follower.processId !== processId) continue;
      const { waiting, told } = follower;
      const others = waiting.size - (waiting.has(id) ? 1 : 0);
      if (state !== "pending" && !told.has(id) && others >= unheardMax) waiting.delete(id);
      else waiting.set(id, approval);
      follower.wake();
    }
  }

  async follow({ processId, pending, notify, signal }: FollowOptions): Promise<void> {
    const isWanted = (approval: Approval): boolean => processId === undefined || approval.process_id === processId;
    const waiting = new Map(pending.filter(isWanted).map((approval) => [approval.approval_id, approval]));
    const follower: Follower = { processId, waiting, told: new Set(), wake: () => {} };
    const wake = (): void => follower.wake();
    this.#followers.add(follower);
    signal.addEventListener("abort", wake, { once: true });
    try {
      while (!signal.aborted) {
        const woken = new Promise<void>((resolve) => (follower.wake = resolve));
        const [next] = waiting;
        if (next === undefined) {
          await woken;
          continue;
        }
        const [id, approval] = next;
        waiting.delete(id);
        if (approval.state === "pending") follower.told.add(id);
        else follower.told.delete(id);
        await notify(approval);
      }
    } finally {
      signal.removeEventListener("abort", wake);
      this.#followers.delete(follower);
    }
  }
}
