import { constants, type Dirent, type Stats } from "node:fs";
import { access as checkAccess, chmod, lstat, mkdir, open, opendir, readlink, type FileHandle } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import type { Access } from "./access.ts";
import { isCode } from "./file-error.ts";

const { O_RDONLY, O_DIRECTORY, O_NOFOLLOW, O_NONBLOCK } = constants;
/** Node has no name for it. A way in is enough: the kernel lets through where it does not let look around. */
const O_PATH = 0o10000000;
/** Asked of the kernel in one go. */
const entriesAtOnce = 256;

/**
 * A folder that was opened, found to lie where it may, and stays that folder whatever becomes of its name: names in it are reached through
 * its descriptor (`/proc/self/fd/N/NAME`, which is what openat does). So a link that is put in the way between the judgement and
 * the deed leads nowhere: the judgement is about what was opened.
 */
export class Folder implements AsyncDisposable {
  readonly #access: Access;
  readonly #handle: FileHandle;
  /** Where it was when it was opened. */
  readonly path: string;

  private constructor(access: Access, handle: FileHandle, path: string) {
    this.#access = access;
    this.#handle = handle;
    this.path = path;
  }

  /** @param place as Access answers it. */
  static async open(access: Access, place: string): Promise<Folder> {
    return Folder.#enter(access, place);
  }

  /** Opens a folder of which the last part may be missing, and makes that. Answers whether it did. */
  static async make(access: Access, place: string, mode?: number): Promise<{ folder: Folder; created: boolean }> {
    const missing: string[] = [];
    let nearest = place;
    while (!(await exists(nearest)) && dirname(nearest) !== nearest) {
      missing.unshift(basename(nearest));
      nearest = dirname(nearest);
    }
    let folder = await Folder.open(access, nearest);
    for (const [index, name] of missing.entries()) {
      try {
        await folder.makeFolder(name, index === missing.length - 1 ? mode : undefined);
        const inner = await folder.enter(name);
        await folder[Symbol.asyncDispose]();
        folder = inner;
      } catch (error) {
        await folder[Symbol.asyncDispose]();
        throw error;
      }
    }
    return { folder, created: missing.length > 0 };
  }

  static async #enter(access: Access, path: string | Buffer): Promise<Folder> {
    const handle = await open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW);
    try {
      const place = await placeOf(handle);
      access.judge(place);
      return new Folder(access, handle, place);
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** The way to a name in it, for calls that do not follow a link at the end. */
  at(name: string): string {
    this.#access.judge(join(this.path, name));
    return `${this.self}/${name}`;
  }

  /** The same for a name that need not be text (P6). */
  atBytes(name: Buffer): Buffer {
    this.#access.judge(join(this.path, name.toString("utf8")));
    return Buffer.concat([Buffer.from(`${this.self}/`), name]);
  }

  /** The folder itself, for calls that take a path. */
  get self(): string {
    return `/proc/self/fd/${this.#handle.fd}`;
  }

  /** A folder in it; a link is none. */
  async enter(name: string | Buffer): Promise<Folder> {
    return Folder.#enter(this.#access, typeof name === "string" ? this.at(name) : this.atBytes(name));
  }

  /** Content with one that is there, made by somebody else just now. */
  async makeFolder(name: string, mode?: number): Promise<void> {
    try {
      await mkdir(this.at(name), mode ?? 0o777);
    } catch (error) {
      if (!isCode(error, "EEXIST")) throw error;
      return;
    }
    if (mode === undefined) return;
    await using folder = await this.enter(name);
    await chmod(folder.self, mode); // The umask may have taken bits away that were asked for.
  }

  /** Opens a regular file in it, and nothing else: a pipe would hold whoever opens it. */
  async openFile(name: string, flags: number, mode?: number): Promise<FileHandle> {
    const handle = await open(this.at(name), flags | O_NOFOLLOW | O_NONBLOCK, mode);
    try {
      const found = await handle.stat();
      if (!found.isFile()) {
        const what = found.isDirectory() ? "is a folder" : "is no regular file";
        throw new HlError("not_a_file", `${JSON.stringify(name)} ${what}`, { path: join(this.path, name) });
      }
      this.#access.judge(await placeOf(handle));
      return handle;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /** What lies in it, in the kernel's order; read bit by bit, because a folder may have millions of names (P7). */
  async entries(): Promise<AsyncIterable<Dirent<Buffer>>> {
    // Node's types know the option for text only.
    const options = { encoding: "buffer" as BufferEncoding, bufferSize: entriesAtOnce };
    return (await opendir(this.self, options)) as unknown as AsyncIterable<Dirent<Buffer>>;
  }

  stat(): Promise<Stats> {
    return this.#handle.stat();
  }

  /** Whether the kernel lets us make and rename names in it. */
  async isWritable(): Promise<boolean> {
    return checkAccess(this.self, constants.W_OK).then(
      () => true,
      () => false,
    );
  }

  /** Makes renames in it outlive a power cut, where it may be read. */
  async sync(): Promise<void> {
    let readable: FileHandle;
    try {
      readable = await open(this.self, O_RDONLY | O_DIRECTORY);
    } catch (error) {
      // A folder may be closed to readers and open to writers. What was done in it is done, and an error would say that it was not (P2).
      if (isCode(error, "EACCES", "EPERM")) return;
      throw error;
    }
    await using _closed = readable;
    await readable.sync();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#handle.close();
  }
}

const goneMark = " (deleted)";

async function placeOf(handle: FileHandle): Promise<string> {
  const place = await readlink(`/proc/self/fd/${handle.fd}`);
  // Removed while it was opened: where it would lie cannot be said any more. A file may also be called so, and then it is there.
  if (place.endsWith(goneMark) && (await handle.stat()).nlink === 0) {
    // In the kernel's words, as where it is gone a moment earlier: whoever walks a tree goes on without it.
    const text = `${JSON.stringify(place.slice(0, -goneMark.length))} was removed just now`;
    throw Object.assign(new Error(text), { code: "ENOENT" });
  }
  return place;
}

async function exists(path: string): Promise<boolean> {
  return lstat(path).then(
    () => true,
    (error: unknown) => !isCode(error, "ENOENT"),
  );
}
