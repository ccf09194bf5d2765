import { HlError, type ErrorType } from "@hl/protocol/errors.ts";

/** The kernel's words in those of the table of errors. What is none of these is a bug or a broken disk, and stays as it is. */
const typeByCode: Readonly<Record<string, readonly [type: ErrorType, why: string]>> = {
  ENOENT: ["file_not_found", "does not exist"],
  EEXIST: ["file_exists", "exists already"],
  ENOTDIR: ["not_a_directory", "is not a folder, or a part of its path is none"],
  EISDIR: ["not_a_file", "is a folder"],
  ENOTEMPTY: ["directory_not_empty", "is a folder that is not empty"],
  ENXIO: ["not_a_file", "is a socket, or a pipe that nobody reads"],
  ENODEV: ["not_a_file", "is a device"],
  ENOSPC: ["no_space", "cannot be written: the disk is full"],
  EDQUOT: ["no_space", "cannot be written: the user's quota is used up"],
  EFBIG: ["no_space", "cannot be written: it would be larger than the file system allows"],
  EACCES: ["path_denied", "may not be touched: the kernel refuses it"],
  EPERM: ["path_denied", "may not be touched: the kernel refuses it"],
  EROFS: ["path_denied", "lies in a file system that is read-only"],
  EBUSY: ["path_denied", "is in use by the system"],
  // Links were followed before: one that stands here now was put there meanwhile.
  ELOOP: ["path_denied", "was replaced by a symbolic link while it was looked at"],
  ENAMETOOLONG: ["invalid_params", "is longer than the file system allows"],
  EINVAL: ["invalid_params", "cannot be moved into itself, or is no name that this file system takes"],
  EXDEV: ["invalid_params", "lies in another file system: copy and remove it"],
};

export function fileError(error: unknown, path: string): unknown {
  if (error instanceof HlError) return error;
  const { code } = error as NodeJS.ErrnoException;
  const known = code === undefined || !Object.hasOwn(typeByCode, code) ? undefined : typeByCode[code];
  if (known === undefined) return error;
  const [type, why] = known;
  return new HlError(type, `${JSON.stringify(path)} ${why}`, { path, errno: code }, { cause: error });
}

/** Runs work on a path; what the kernel refuses is thrown in the words of the table. */
export async function onPath<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, path);
  }
}

export function isCode(error: unknown, ...codes: readonly string[]): boolean {
  return codes.includes((error as NodeJS.ErrnoException).code ?? "");
}
