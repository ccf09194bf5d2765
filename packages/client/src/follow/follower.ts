import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import { HlError } from "@hl/protocol/errors.ts";
import {
  commandGap,
  commandOutput,
  commandResult,
  type CommandOutput,
  type CommandResult,
} from "@hl/protocol/methods/command-result.ts";
import type { Connection } from "../connect/connection.ts";
import { ClientFailure } from "../failure.ts";
import { persist, untilClosed, type PersistDeps } from "../connect/persist.ts";
import { OutputCursor } from "./output-cursor.ts";

/** Where the output goes. `output` answers false when there is no room; `drained` tells when there is again. */
export interface OutputView {
  begun(result: CommandResult): void;
  output(output: CommandOutput, bytes: Buffer): boolean;
  missing(position: number, byteCount: number): void;
  drained(): Promise<void>;
}

export interface FollowerDeps extends PersistDeps {
  readonly commandId: string;
  readonly view: OutputView;
  /**
   * Begins the command, or attaches to it by its id where it began already (C1). Without it the command exists
   * and is only followed.
   */
  readonly execute?: ((connection: Connection, onNotification: Notified) => Promise<CommandResult>) | undefined;
}

export type Notified = (method: string, params: unknown) => void;

/** The command was cancelled before the daemon had ever heard of it. */
export class NeverBegun extends Error {
  override readonly name = "NeverBegun";
}

/**
 * Follows one command to its end, over lost connections, byte for byte.
 * States: asking (the daemon may not know the command) → following → ended. A connection lost while asking asks again with
 * the same id, which runs nothing twice (C1); lost while following it goes on behind the last byte taken.
 */
export class Follower {
  readonly #deps: FollowerDeps;
  readonly #cursor = new OutputCursor();
  #known: boolean;
  #begunTold: boolean;
  #reached = false;
  #cancelWanted = false;
  #connection: PromiseWithResolvers<Connection> = Promise.withResolvers();
  #current: Connection | undefined;

  constructor(deps: FollowerDeps) {
    this.#deps = deps;
    this.#known = deps.execute === undefined;
    this.#begunTold = this.#known;
  }

  /** Resolves with the command's end. */
  run(): Promise<CommandResult> {
    return persist(this.#deps, (connection, progress) => this.#converse(connection, progress));
  }

  /** The connection over which the command is followed, as soon as the daemon knows the command. */
  following(): Promise<Connection> {
    return this.#connection.promise;
  }

  /**
   * Asks the daemon to stop the command, now or as soon as it can be reached again; `run` then resolves with the end.
   * Answers false where there is nothing to stop because no daemon has been reached yet.
   */
  cancel(): boolean {
    if (!this.#reached) return false;
    this.#cancelWanted = true;
    if (this.#current !== undefined && this.#known) this.#sendCancel(this.#current);
    return true;
  }

  async #converse(connection: Connection, progress: () => void): Promise<CommandResult> {
    const ended = Promise.withResolvers<CommandResult>();
    const onNotification = (method: string, params: unknown): void => {
      progress();
      this.#known = true;
      try {
        const end = this.#take(connection, method, params);
        if (end !== undefined) ended.resolve(end);
      } catch (error) {
        const message = `a ${method} of the daemon is not what this hl-client knows`;
        ended.reject(new ClientFailure("protocol", message, undefined, { cause: error }));
      }
    };
    this.#current = connection;
    this.#reached = true;
    let isFollowing = false;
    try {
      if (this.#cancelWanted && !this.#known) await this.#cancelUnknown(connection);
      const lost = untilClosed(connection);
      lost.catch(() => {}); // Also when nobody looks because the command has ended.
      const begun = this.#begin(connection, onNotification).then((result) => {
        progress();
        if (!this.#begunTold) this.#deps.view.begun(result);
        this.#begunTold = true;
        this.#known = true;
      });
      await Promise.race([begun, ended.promise]); // A short command's end may come before its answer.
      if (this.#cancelWanted) this.#sendCancel(connection);
      this.#connection.resolve(connection);
      isFollowing = true;
      return await Promise.race([ended.promise, lost]);
    } finally {
      this.#current = undefined;
      // One that nobody was told yet is still waited for.
      if (isFollowing) this.#connection = Promise.withResolvers();
    }
  }

  #begin(connection: Connection, onNotification: Notified): Promise<CommandResult> {
    const { execute, commandId } = this.#deps;
    if (!this.#known && execute !== undefined) return execute(connection, onNotification);
    const params = { command_id: commandId, offset: this.#cursor.position, output_encoding: "base64" as const };
    return connection.call("command/subscribe", params, { onNotification });
  }

  /** Answers the result when the notification tells the end. Notifications about other commands are none of ours. */
  #take(connection: Connection, method: string, params: unknown): CommandResult | undefined {
    if ((params as { command_id?: unknown } | undefined)?.command_id !== this.#deps.commandId) return undefined;
    switch (method) {
      case "command/output":
        this.#takeOutput(connection, commandOutput.parse(params));
        return undefined;
      case "command/gap": {
        const gap = commandGap.parse(params);
        const missing = this.#cursor.skip(gap.position, gap.bytes);
        if (missing > 0) this.#deps.view.missing(this.#cursor.position - missing, missing);
        return undefined;
      }
      case "command/exited":
        return commandResult.parse(params);
      default:
        return undefined;
    }
  }

  #takeOutput(connection: Connection, output: CommandOutput): void {
    const { view } = this.#deps;
    const { bytes, repeated, missing } = this.#cursor.take(output);
    if (missing > 0) view.missing(output.position - missing, missing);
    if (bytes.length === 0) return;
    const cut = { ...output, offset: output.offset + repeated, position: output.position + repeated };
    if (view.output(cut, bytes)) return;
    connection.peer.pause(); // P5: the daemon keeps what we cannot print yet.
    void view.drained().then(() => connection.peer.resume());
  }

  #sendCancel(connection: Connection): void {
    // The end comes as a notification; a lost connection sends it again, anything else is told and the command goes on.
    connection.call("command/cancel", { command_id: this.#deps.commandId }).catch((error: unknown) => {
      const over = error instanceof ConnectionClosed || this.#deps.signal.aborted;
      const ended = error instanceof HlError && error.type === "command_unknown";
      if (!over && !ended) this.#deps.notice(`the command could not be cancelled: ${String(error)}`);
    });
  }

  async #cancelUnknown(connection: Connection): Promise<void> {
    try {
      await connection.call("command/cancel", { command_id: this.#deps.commandId });
    } catch (error) {
      if (error instanceof HlError && error.type === "command_unknown")
        throw new NeverBegun("the command was never begun");
      throw error;
    }
    this.#known = true;
  }
}
