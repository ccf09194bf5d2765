import { createHash } from "node:crypto";
import type { FileHandle } from "node:fs/promises";
import { HlError } from "@hl/protocol/errors.ts";
import type { Connection } from "../connect/connection.ts";
import { persist } from "../connect/persist.ts";
import type { Session } from "../session.ts";
import { readLocal, sha256OfLocal } from "./local-file.ts";
import { orLost, sendPieces } from "./pieces.ts";
import type { Progress } from "./progress.ts";

export interface UploadOptions {
  readonly session: Session;
  readonly file: FileHandle;
  readonly path: string;
  readonly mode: number;
  readonly createParents: boolean;
  readonly progress: Progress;
}

export interface Uploaded {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/**
 * A file on its way to the VM in parts. The upload's name is made from what is sent and where to, so whoever sends the same again goes on
 * where the last attempt was, after a lost connection as in a second run. The VM checks the whole before it becomes the file.
 */
export class Upload {
  readonly #options: UploadOptions;
  /** All parts have arrived once: then the end may have, too, and only its answer is missing. */
  #isAllSent = false;

  constructor(options: UploadOptions) {
    this.#options = options;
  }

  async run(): Promise<Uploaded> {
    const { session, file, path } = this.#options;
    const { size } = await file.stat();
    const sha256 = await sha256OfLocal(file, session.signal);
    const id = createHash("sha256").update(`${sha256} ${path}`).digest("hex").slice(0, 32);
    return persist(session.persistence, (connection, onProgress) =>
      orLost(this.#send(connection, { id, size, sha256 }, onProgress)),
    );
  }

  async #send(
    connection: Connection,
    { id, size, sha256 }: { readonly id: string; readonly size: number; readonly sha256: string },
    onProgress: () => void,
  ): Promise<Uploaded> {
    const { file, path, mode, createParents, progress } = this.#options;
    const part = { path, upload_id: id, create_parents: createParents, encoding: "base64" } as const;
    const finish = (): Promise<Uploaded> =>
      connection
        .call("file/write", { ...part, offset: size, data: "", final: true, sha256, mode })
        .then((result) => ({ path: result.path, size, sha256 }));
    if (this.#isAllSent) {
      try {
        return await finish();
      } catch (error) {
        if (!(error instanceof HlError && error.type === "upload_offset")) throw error;
        this.#isAllSent = false;
      }
    }
    const begun = await connection.call("file/write", { ...part, offset: 0, data: "" });
    onProgress();
    const from = Math.min(begun.received_bytes ?? 0, size);
    progress.at(from);
    let done = from;
    const read = (offset: number, bytes: number): Promise<Buffer> => readLocal(file, offset, bytes);
    await sendPieces(from, size, read, async (offset, piece) => {
      await connection.call("file/write", { ...part, offset, data: piece.toString("base64") });
      onProgress();
      progress.at((done += piece.length));
    });
    this.#isAllSent = true;
    return finish();
  }
}
