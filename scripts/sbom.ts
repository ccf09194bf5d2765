/**
 * `npm run sbom`: what a release consists of, as CycloneDX on standard output: the libraries that the bundler really took into the programs,
 * the Node runtime with the libraries inside it, and the C library of the static hl-runner. The same sources give the same bytes.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { bundle, programs } from "./bundle.ts";

const run = promisify(execFile);

export interface Component {
  readonly "bom-ref": string;
  readonly type: string;
  readonly name: string;
  readonly version: string;
  readonly scope?: string;
  readonly components?: readonly Component[];
}

export interface Bom {
  readonly bomFormat: string;
  readonly specVersion: string;
  readonly serialNumber: string;
  readonly version: number;
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn?: readonly string[] }[];
}

/** Libraries in the bundles of all programs, as `name@version`. */
export async function bundledLibraries(): Promise<ReadonlySet<string>> {
  using folder = temporaryFolder("hl-sbom");
  const found = new Set<string>();
  for (const [name, entry] of Object.entries(programs)) {
    const metafile = join(folder.path, `${name}.json`);
    await bundle(entry, join(folder.path, `${name}.mjs`), metafile);
    const { inputs } = JSON.parse(readFileSync(metafile, "utf8")) as { readonly inputs: object };
    for (const input of Object.keys(inputs)) {
      // The innermost package is the one whose file it is.
      const place = /^(.*node_modules\/(?:@[^/]+\/)?[^/]+)\//.exec(input)?.[1];
      if (place !== undefined) found.add(place);
    }
  }
  const { packages } = JSON.parse(readFileSync(join(repositoryRoot, "package-lock.json"), "utf8")) as Lock;
  return new Set(
    [...found].map((place) => {
      const version = packages[place]?.version;
      if (version === undefined) throw new Error(`${place} is in a bundle and not in package-lock.json`);
      return `${place.slice(place.lastIndexOf("node_modules/") + "node_modules/".length)}@${version}`;
    }),
  );
}

/** Rejects where a library of a bundle is missing in what npm knows. */
export async function billOfMaterials(): Promise<Bom> {
  const [libraries, all] = await Promise.all([bundledLibraries(), npmBom()]);
  const components = all.components.filter((component) => libraries.has(component["bom-ref"]));
  const listed = new Set(components.map((component) => component["bom-ref"]));
  const missing = [...libraries].filter((library) => !listed.has(library));
  if (missing.length > 0) throw new Error(`npm does not list ${missing.join(", ")}`);
  const { name, version, license } = JSON.parse(readFileSync(join(repositoryRoot, "package.json"), "utf8")) as Manifest;
  const product = { "bom-ref": `hl-daemon@${version}`, type: "application", name: "hl-daemon", version };
  const own = [...components.map((one) => ({ ...one, scope: "required" })), nodeRuntime(), ...(await runnerLibrary())];
  const refs = new Set(own.map((component) => component["bom-ref"]));
  const content = {
    bomFormat: all.bomFormat,
    specVersion: all.specVersion,
    version: 1,
    metadata: {
      lifecycles: [{ phase: "build" }],
      component: { ...product, licenses: [{ license: { id: license } }], description: `Built from ${name}.` },
    },
    components: own.sort((a, b) => (a["bom-ref"] < b["bom-ref"] ? -1 : 1)),
    dependencies: [
      { ref: product["bom-ref"], dependsOn: [...refs].sort() },
      ...all.dependencies
        .filter(({ ref }) => listed.has(ref))
        .map(({ ref, dependsOn = [] }) => ({ ref, dependsOn: dependsOn.filter((one) => refs.has(one)).sort() }))
        .sort((a, b) => (a.ref < b.ref ? -1 : 1)),
    ],
  };
  return { ...content, serialNumber: `urn:uuid:${uuidOf(JSON.stringify(content))}` };
}

interface Lock {
  readonly packages: Readonly<Record<string, { readonly version?: string }>>;
}

interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly license: string;
}

/** Everything in the lock file, with hashes, licences and who needs whom. */
async function npmBom(): Promise<Bom> {
  const args = ["sbom", "--sbom-format=cyclonedx", "--package-lock-only"];
  const { stdout } = await run("npm", args, { cwd: repositoryRoot, maxBuffer: 2 ** 26 });
  return JSON.parse(stdout) as Bom;
}

/** Inside one file, and yet what an advisory names. */
const insideNode = ["v8", "uv", "zlib", "openssl", "sqlite", "llhttp", "nghttp2", "undici", "ares", "icu", "brotli"];

function nodeRuntime(): Component {
  const { node } = process.versions;
  const components = insideNode.flatMap((name) => {
    const version = process.versions[name];
    return version === undefined ? [] : [{ "bom-ref": `node/${name}@${version}`, type: "library", name, version }];
  });
  return { "bom-ref": `node@${node}`, type: "platform", name: "node", version: node, components };
}

/** A static program carries its C library along. */
async function runnerLibrary(): Promise<Component[]> {
  const { stdout } = await run("getconf", ["GNU_LIBC_VERSION"]).catch(() => ({ stdout: "" }));
  const version = /^glibc (\S+)/.exec(stdout)?.[1];
  return version === undefined ? [] : [{ "bom-ref": `glibc@${version}`, type: "library", name: "glibc", version }];
}

/** The same text, the same number: version 8 of RFC 9562. */
function uuidOf(text: string): string {
  const hex = createHash("sha256").update(text).digest("hex");
  const variant = ((Number.parseInt(hex.slice(16, 17), 16) & 0x3) | 0x8).toString(16);
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-${variant}${hex.slice(17, 20)}-${hex.slice(20, 32)}`;
}

if (import.meta.main) process.stdout.write(`${JSON.stringify(await billOfMaterials(), undefined, 2)}\n`);
