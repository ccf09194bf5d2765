import type { Clock } from "@hl/core/clock.ts";
import { RpcError } from "@hl/core/rpc/error.ts";
import type { VmConnection } from "./vm-connection.ts";

/**
 * Whether the daemon at the other end of a connection is still there. It is asked itself: an open socket proves nothing
 * after a silent loss, and a proxy on the way may answer pings for it. Many who want to know at once ask once.
 */
export class Liveness {
  readonly #clock: Clock;
  readonly #withinMs: number;
  readonly #asked = new WeakMap<VmConnection, { readonly askedAt: number; readonly alive: Promise<boolean> }>();

  constructor(clock: Clock, withinMs: number) {
    this.#clock = clock;
    this.#withinMs = withinMs;
  }

  isAlive(connection: VmConnection): Promise<boolean> {
    const now = this.#clock.now();
    const known = this.#asked.get(connection);
    if (known !== undefined && now - known.askedAt < this.#withinMs) return known.alive;
    const alive = this.#ask(connection);
    this.#asked.set(connection, { askedAt: now, alive });
    return alive;
  }

  #ask({ peer }: VmConnection): Promise<boolean> {
    return peer.request("system/ping", {}, { timeoutMs: this.#withinMs }).then(
      () => true,
      (error: unknown) => error instanceof RpcError, // Also a refusal comes from somebody who lives.
    );
  }
}
