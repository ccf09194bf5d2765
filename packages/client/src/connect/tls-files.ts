import { readFileSync } from "node:fs";
import { resolve } from "node:path";

/** Files in PEM, by the names that curl and etcdctl have for them. */
export interface TlsFiles {
  readonly cacert?: string | undefined;
  readonly cert?: string | undefined;
  readonly key?: string | undefined;
}

/** What a TLS connection is opened with, in the words of node:tls; nothing where nothing was said. */
export interface ClientTls {
  readonly ca?: Buffer;
  readonly cert?: Buffer;
  readonly key?: Buffer;
}

/** Plain, because hl-health-check starts every few seconds and loads no more than it needs. */
export class TlsFilesProblem extends Error {
  override readonly name = "TlsFilesProblem";
}

export interface TlsPorts {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
}

/** The command line comes before HL_CACERT, HL_CERT and HL_KEY. Throws where a file cannot be read, or a certificate is without its key. */
export function readTls(files: TlsFiles, { env, cwd }: TlsPorts): ClientTls {
  const named = { ca: files.cacert ?? env.HL_CACERT, cert: files.cert ?? env.HL_CERT, key: files.key ?? env.HL_KEY };
  const given = Object.entries(named).filter((entry): entry is [string, string] => (entry[1] ?? "") !== "");
  const read = Object.fromEntries(given.map(([name, file]) => [name, contentOf(resolve(cwd, file))]));
  if ("cert" in read !== "key" in read)
    throw new TlsFilesProblem("--cert and --key belong together: give both, or name a file that holds both twice");
  return read;
}

function contentOf(file: string): Buffer {
  try {
    return readFileSync(file);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    const reason = code === "ENOENT" ? "does not exist" : `cannot be read: ${message}`;
    throw new TlsFilesProblem(`${file} ${reason}`, { cause: error });
  }
}
