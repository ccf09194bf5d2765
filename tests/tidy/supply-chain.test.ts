/**
 * Goal: what others wrote comes in by a short list of known names, with its hash, and runs nothing by being installed; a release says what it
 * consists of. Method: the lock files, the list in docs/supply-chain.md, and the bill of materials of the real bundles.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { billOfMaterials, bundledLibraries, type Component } from "../../scripts/sbom.ts";

interface Locked {
  readonly link?: boolean;
  readonly integrity?: string;
  readonly hasInstallScript?: boolean;
}

type Dependencies = Readonly<Record<string, string>>;
interface Manifest {
  readonly dependencies?: Dependencies;
  readonly optionalDependencies?: Dependencies;
  readonly devDependencies?: Dependencies;
}

const read = (path: string): string => readFileSync(join(repositoryRoot, path), "utf8");
const json = (path: string): unknown => JSON.parse(read(path));
const lockFiles = ["package-lock.json", "tests/agents/package-lock.json", "tests/agents/acp/package-lock.json"];
/** Of others, by the path in the lock file. */
const lockedIn = (path: string): [string, Locked][] =>
  Object.entries((json(path) as { packages: Record<string, Locked> }).packages).filter(
    ([place, { link }]) => place.includes("node_modules/") && link !== true,
  );

test("every package of others is locked with a SHA-512", () => {
  for (const path of lockFiles) {
    const open = lockedIn(path).filter(([, { integrity = "" }]) => !integrity.startsWith("sha512-"));
    assert.deepEqual(
      open.map(([place]) => place),
      [],
      path,
    );
  }
});

test("nothing that `npm ci` brings has an install script; the agents of the tests are installed without theirs", () => {
  const scripted = lockedIn("package-lock.json").filter(([, { hasInstallScript }]) => hasInstallScript === true);
  assert.deepEqual(scripted, []);
  assert.match(read("tests/agents/install.ts"), /"--ignore-scripts"/);
});

test("a version is one version", () => {
  for (const [name, version] of directDependencies()) assert.match(version, /^\d+\.\d+\.\d+$/, name);
});

test("docs/supply-chain.md has a line for each direct dependency, and for nothing else", () => {
  const listed = [...read("docs/supply-chain.md").matchAll(/^\| `([^`]+)` \|/gm)].map(([, name = ""]) => name);
  const direct = [...new Set(directDependencies().map(([name]) => name))];
  assert.deepEqual(listed.sort(), direct.sort());
});

test("the bill of materials has what is in the bundles, with hashes, and is the same each time", async () => {
  const [bom, again, libraries] = await Promise.all([billOfMaterials(), billOfMaterials(), bundledLibraries()]);
  assert.deepEqual(bom, again);
  assert.deepEqual([bom.bomFormat, bom.specVersion, bom.version], ["CycloneDX", "1.5", 1]);
  assert.match(bom.serialNumber, /^urn:uuid:[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/);
  const refs = bom.components.map((component) => component["bom-ref"]);
  for (const library of ["zod", "ws", "jose", "pino", "fastify", "commander", "ignore"])
    assert.ok(
      [...libraries].some((one) => one.startsWith(`${library}@`)) && refs.some((one) => one.startsWith(`${library}@`)),
      library,
    );
  assert.deepEqual(
    [...libraries].filter((library) => !refs.includes(library)),
    [],
  );
  assert.ok(
    !refs.some((ref) => /^(?:eslint|typescript|prettier|fast-check|playwright-core|@hl\/)/.test(ref)),
    "not what only development needs",
  );
  const withHash = bom.components.filter((component) => libraries.has(component["bom-ref"])) as (Component & {
    hashes?: unknown[];
  })[];
  assert.ok(withHash.every(({ hashes = [] }) => hashes.length > 0));
  const node = bom.components.find(({ name }) => name === "node");
  assert.ok(node?.components?.some(({ name }) => name === "openssl"));
  assert.equal(new Set(refs).size, refs.length);
});

function directDependencies(): [string, string][] {
  const folders = readdirSync(join(repositoryRoot, "packages")).map((name) => `packages/${name}`);
  return ["", ...folders, "tests/agents", "tests/agents/acp"].flatMap((folder) => {
    const { dependencies, optionalDependencies, devDependencies } = json(join(folder, "package.json")) as Manifest;
    const all = { ...dependencies, ...optionalDependencies, ...devDependencies };
    return Object.entries(all).filter(([name]) => !name.startsWith("@hl/"));
  });
}
