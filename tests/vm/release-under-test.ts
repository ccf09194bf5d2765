/**
 * The release that the walk installs, signed with a key of this run. It is made once for all files of the tier (`scripts/test.ts` sets
 * HL_TEST_RELEASE), or before by whoever works on the tests; a file that runs alone makes its own.
 */
import { generateKeyPairSync, sign } from "node:crypto";
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { makeRelease } from "../../scripts/release.ts";

/** Names of files in the folder. */
export interface ReleaseUnderTest {
  readonly archive: string;
  readonly deb: string;
}

/** Puts archive, .deb, checksums, signatures, `install.sh` and the public key `release.pub` into the folder. */
export async function putRelease(folder: string): Promise<ReleaseUnderTest> {
  const { privateKey: key, publicKey } = generateKeyPairSync("ed25519");
  const ready = process.env["HL_TEST_RELEASE"];
  if (ready === undefined) await makeRelease({ outputFolder: folder, key });
  else copySigned(ready, folder, (bytes) => sign(null, bytes, key));
  writeFileSync(join(folder, "release.pub"), publicKey.export({ type: "spki", format: "pem" }));
  return { archive: only(folder, ".tar.gz"), deb: only(folder, ".deb") };
}

function copySigned(from: string, to: string, signature: (bytes: Buffer) => Buffer): void {
  mkdirSync(to, { recursive: true });
  for (const name of readdirSync(from)) {
    if (name.endsWith(".sig")) continue;
    copyFileSync(join(from, name), join(to, name));
    if (/\.(tar\.gz|deb)$/.test(name)) writeFileSync(join(to, `${name}.sig`), signature(readFileSync(join(to, name))));
  }
}

function only(folder: string, ending: string): string {
  const [name, ...more] = readdirSync(folder).filter((one) => one.endsWith(ending));
  if (name === undefined || more.length > 0) throw new Error(`not one ${ending} in ${folder}`);
  return name;
}
