/** Reads one configuration file into a document, or says in one problem why that is not possible. */
import { closeSync, constants, fstatSync, openSync, readSync } from "node:fs";
import { lineAndColumn, parseJson, type JsonDocument } from "./json.ts";
import { toPointer, type Problem } from "./problem.ts";

/** Reads a whole file, or throws an error with a `code` as `fs.readFileSync` does. */
export type ReadFile = (path: string) => Uint8Array | string;

export const FILE_BYTES_MAX = 2 ** 20;

export interface SourceFile {
  readonly text: string;
  readonly document: JsonDocument;
}

export type Reading =
  | { readonly status: "read"; readonly source: SourceFile; readonly problems: readonly Problem[] }
  | { readonly status: "missing" }
  | { readonly status: "broken"; readonly problems: readonly Problem[] };

/** Never blocks on a pipe and never reads more than the limit, whatever the path turns out to be. */
export const readRegularFile: ReadFile = (path) => {
  const descriptor = openSync(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const status = fstatSync(descriptor);
    if (status.isDirectory()) throw Object.assign(new Error("is a directory"), { code: "EISDIR" });
    if (!status.isFile()) throw Object.assign(new Error("is not a regular file"), { code: "EINVAL" });
    const buffer = Buffer.alloc(Math.min(status.size, FILE_BYTES_MAX) + 1);
    let length = 0;
    for (let got = 1; got > 0 && length < buffer.length; length += got)
      got = readSync(descriptor, buffer, length, buffer.length - length, null);
    return buffer.subarray(0, length);
  } finally {
    closeSync(descriptor);
  }
};

/** Reads each file only once: what is loaded with it later sees the files as they were. */
export const rememberingReader = (readFile: ReadFile = readRegularFile): ReadFile => {
  const seen = new Map<string, () => Uint8Array | string>();
  return (path) => {
    let outcome = seen.get(path);
    if (outcome === undefined) {
      try {
        const content = readFile(path);
        outcome = () => content;
      } catch (error) {
        outcome = () => {
          throw error;
        };
      }
      seen.set(path, outcome);
    }
    return outcome();
  };
};

export const readSource = (file: string, readFile: ReadFile): Reading => {
  const broken = (message: string, suggestion?: string): Reading => ({
    status: "broken",
    problems: [{ file, pointer: "", message, suggestion }],
  });
  let content: Uint8Array | string;
  try {
    content = readFile(file);
  } catch (error) {
    const code = codeOf(error);
    if (code === "ENOENT" || code === "ENOTDIR") return { status: "missing" };
    const [message, suggestion] = UNREADABLE[code] ?? [
      `cannot be read: ${error instanceof Error ? error.message : String(error)}`,
    ];
    return broken(message, suggestion);
  }
  const bytes = typeof content === "string" ? Buffer.from(content, "utf8") : content;
  if (bytes.length > FILE_BYTES_MAX) return broken("is larger than 1 MiB");
  const text = decode(bytes);
  if (text === undefined) return broken("is not UTF-8 text", "save it as UTF-8");
  return parse(file, text, broken);
};

const parse = (file: string, decoded: string, broken: (message: string, suggestion?: string) => Reading): Reading => {
  const problems: Problem[] = [];
  const marked = decoded.startsWith("\uFEFF");
  const text = marked ? decoded.slice(1) : decoded;
  if (marked)
    problems.push({
      file,
      pointer: "",
      line: 1,
      column: 1,
      message: "begins with a byte order mark",
      suggestion: "save it as UTF-8 without BOM",
    });
  if (text.trim() === "") return broken("is empty", "write {} to take every default");
  const document = parseJson(text);
  for (const { offset, path, message, suggestion } of document.problems)
    problems.push({ file, pointer: toPointer(path), message, suggestion, ...lineAndColumn(text, offset) });
  return document.value === undefined
    ? { status: "broken", problems }
    : { status: "read", source: { text, document }, problems };
};

const UNREADABLE: Readonly<Record<string, readonly [string, string?]>> = {
  EISDIR: ["is a directory, not a file"],
  EINVAL: ["is not a regular file"],
  EACCES: ["cannot be read: permission denied", "let the daemon's user read it (0640, its group)"],
  EPERM: ["cannot be read: operation not permitted"],
  ELOOP: ["cannot be read: too many symbolic links"],
  ENXIO: ["is not a regular file"],
};

const codeOf = (error: unknown): string =>
  typeof error === "object" && error !== null && "code" in error && typeof error.code === "string" ? error.code : "";

const decode = (bytes: Uint8Array): string | undefined => {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    return undefined;
  }
};
