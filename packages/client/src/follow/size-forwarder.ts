import type { Connection } from "../connect/connection.ts";
import { isPassing } from "../failure.ts";
import type { Size } from "./local-terminal.ts";

/** Tells the command's terminal the newest size of ours; what was overtaken on the way, or lost with a connection, is not told. */
export class SizeForwarder {
  readonly #commandId: string;
  readonly #following: () => Promise<Connection>;
  #wanted: Size | undefined;
  #busy = false;

  constructor(commandId: string, following: () => Promise<Connection>) {
    this.#commandId = commandId;
    this.#following = following;
  }

  set(size: Size): void {
    this.#wanted = size;
    if (this.#busy) return;
    this.#busy = true;
    void this.#send().finally(() => (this.#busy = false));
  }

  async #send(): Promise<void> {
    while (this.#wanted !== undefined) {
      const size = this.#wanted;
      const connection = await this.#following();
      try {
        await connection.call("command/resize", { command_id: this.#commandId, ...size });
      } catch (error) {
        if (!isPassing(error) || !connection.peer.isClosed) return; // A wrong size is no reason to end anything.
        continue;
      }
      if (this.#wanted === size) this.#wanted = undefined;
    }
  }
}
