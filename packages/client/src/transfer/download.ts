import { rename, unlink } from "node:fs/promises";
import { ClientFailure } from "../failure.ts";
import { persist } from "../connect/persist.ts";
import type { Session } from "../session.ts";
import { localFailure, openLocal, sha256OfLocal } from "./local-file.ts";
import { orLost, remotePieces } from "./pieces.ts";
import type { Progress } from "./progress.ts";

export interface DownloadOptions {
  readonly session: Session;
  readonly path: string;
  /** Where it is to lie on this machine. */
  readonly target: string;
  readonly progress: (size: number) => Progress;
}

export interface Downloaded {
  readonly path: string;
  readonly size: number;
  readonly sha256: string;
}

/**
 * A file on its way from the VM in ranges, into a file beside the target that is named by the content: so a second run goes on where the first
 * was, and never with half of something else. It takes its name when its checksum is that of the VM's file.
 */
export async function download(options: DownloadOptions): Promise<Downloaded> {
  const { session, path, target } = options;
  return persist(session.persistence, (connection, onProgress) =>
    orLost(
      (async () => {
        const { size, sha256 = "", path: place } = await connection.call("file/stat", { path, checksum: true });
        onProgress();
        const draft = `${target}.${sha256.slice(0, 16)}.part`;
        {
          await using file = await openLocal(draft, "a+");
          const { size: has } = await file.stat();
          let at = Math.min(has, size);
          await file.truncate(at);
          const progress = options.progress(size);
          progress.at(at);
          for await (const bytes of remotePieces(connection, { path, size }, at)) {
            await file.appendFile(bytes);
            onProgress();
            progress.at((at += bytes.length));
          }
          if ((await sha256OfLocal(file, session.signal)) !== sha256) {
            await unlink(draft);
            const help = "It may have been changed meanwhile: try again.";
            throw new ClientFailure("changed", `what has arrived of ${path} is not what it was at first`, help);
          }
          await file.sync();
        }
        await rename(draft, target).catch((error: unknown) => Promise.reject(localFailure(target, error)));
        return { path: place, size, sha256 };
      })(),
    ),
  );
}
