import { fileChanged, type FileChange, type FileChanged } from "@hl/protocol/methods/file-watch.ts";
import type { Command } from "commander";
import * as z from "zod";
import { collect, verb, type Cli } from "../cli.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { escapeLine } from "../render/escape.ts";
import type { Tone } from "../render/paint.ts";
import type { Session } from "../session.ts";

const watchOptions = z.object({ recursive: z.boolean().default(true), exclude: z.array(z.string()).optional() });

export function addFileWatch(parent: Command, cli: Cli): void {
  verb(parent, "watch", "print changes below a folder of the VM, until Ctrl-C")
    .argument("[path]", "a folder in the VM; default the workspace", ".")
    .option("--no-recursive", "not the folders below")
    .option("--exclude <name>", "not files and folders of this name; may be repeated (node_modules, .git)", collect)
    .action((path: string, _options, command: Command) =>
      cli.run(command, (session) => new FileWatch(session, path, watchOptions.parse(command.opts())).run()),
    );
}

class FileWatch {
  readonly #session: Session;
  readonly #params: { path: string } & z.output<typeof watchOptions>;
  #isAgain = false;

  constructor(session: Session, path: string, options: z.output<typeof watchOptions>) {
    this.#session = session;
    this.#params = { path, ...options };
  }

  run(): Promise<number> {
    return persist(this.#session.persistence, async (connection, progress) => {
      const ended = Promise.withResolvers<number>();
      const onNotification = (method: string, params: unknown): void => {
        if (method !== "file/changed") return;
        progress();
        const why = this.#take(connection, fileChanged.parse(params));
        if (why !== undefined) ended.reject(new ClientFailure("changed", `the watch has ended: ${why}`));
      };
      await connection.call("file/watch", this.#params, { onNotification });
      progress();
      if (this.#isAgain) this.#gap(); // Nobody has seen what happened while there was no connection.
      this.#isAgain = true;
      ended.promise.catch(() => {});
      return Promise.race([ended.promise, untilClosed(connection).then(() => exitCode.ok)]);
    });
  }

  /** Answers why nothing follows, where that is so. */
  #take(connection: Connection, changed: FileChanged): string | undefined {
    const { out, signal, json, paint } = this.#session;
    let hasRoom = true;
    if (json) hasRoom = this.#session.printJson(changed);
    else {
      if (changed.gap === true) this.#gap();
      for (const { path, type } of changed.changes) {
        hasRoom = out.line(`${paint(toneByType[type], type.padEnd(8))} ${escapeLine(path)}`);
      }
    }
    if (!hasRoom) {
      connection.peer.pause();
      void out.drained(signal).then(() => connection.peer.resume());
    }
    return changed.ended;
  }

  #gap(): void {
    if (this.#session.json) return;
    this.#session.notice("some changes were not seen: look at the folder again");
  }
}

const toneByType: Readonly<Record<FileChange["type"], Tone>> = {
  created: "good",
  modified: "plain",
  deleted: "bad",
};
