import { ConnectionClosed } from "@hl/core/rpc/peer.ts";
import type { Connection } from "../connect/connection.ts";
import { ClientFailure, isPassing } from "../failure.ts";

/** What one message carries of a file: larger ones are no faster, and cost every process on the way their size several times over. */
export const pieceBytes = 262_144;
/** Pieces under way: while one is written to a disk the next is on the line, and no more is in memory whatever the file's size (P7). */
const piecesAtOnce = 8;

export interface RemoteFile {
  readonly path: string;
  readonly size: number;
}

/** The bytes of a file from an offset on, in order. Throws when it is not the file any more that it was. */
export async function* remotePieces(
  connection: Connection,
  file: RemoteFile,
  from: number,
): AsyncGenerator<Buffer, void> {
  const ask = async (offset: number): Promise<Buffer> => {
    const params = { path: file.path, offset, length: pieceBytes, encoding: "base64" } as const;
    const { data, encoding, size } = await connection.call("file/read", params);
    const bytes = Buffer.from(data, encoding);
    if (size !== file.size || bytes.length !== Math.min(pieceBytes, size - offset)) {
      throw new ClientFailure(
        "changed",
        `${file.path} was changed while it was read`,
        "Try again when nobody writes it.",
      );
    }
    return bytes;
  };
  const asked: Promise<Buffer>[] = [];
  for (let next = from; next < file.size || asked.length > 0;) {
    while (next < file.size && asked.length < piecesAtOnce) {
      const piece = ask(next);
      piece.catch(() => {}); // The first that fails is the one that tells.
      asked.push(piece);
      next += pieceBytes;
    }
    yield (await asked.shift()) as Buffer;
  }
}

/** Reads and sends a file from an offset on, in order, several pieces under way at once; resolves when all have arrived. */
export async function sendPieces(
  from: number,
  size: number,
  read: (offset: number, bytes: number) => Promise<Buffer>,
  send: (offset: number, piece: Buffer) => Promise<void>,
): Promise<void> {
  const underWay: Promise<void>[] = [];
  for (let offset = from; offset < size; offset += pieceBytes) {
    const piece = await read(offset, Math.min(pieceBytes, size - offset));
    if (underWay.length >= piecesAtOnce) await underWay.shift();
    const sent = send(offset, piece);
    sent.catch(() => {}); // The first that fails is the one that tells.
    underWay.push(sent);
  }
  await Promise.all(underWay);
}

/** What passes by itself is as good as a lost connection: whoever transfers connects again and goes on where it was. */
export async function orLost<T>(work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (isPassing(error) && !(error instanceof ConnectionClosed)) {
      throw new ConnectionClosed(error instanceof Error ? error.message : String(error));
    }
    throw error;
  }
}
