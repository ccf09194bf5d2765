/**
 * Goal: the installer does nothing when there is nothing to do, installs once for two at once, and explains a failure.
 * Method: a folder of its own per test and a script in npm's place; the real npm is used by every test that needs an agent.
 */
import assert from "node:assert/strict";
import { chmod, mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { ensureAgents } from "./install.ts";

const claudePath = "node_modules/@anthropic-ai/claude-code-linux-x64";
const working = `echo run >> runs; mkdir -p ${claudePath}; echo > ${claudePath}/claude; chmod +x ${claudePath}/claude`;

test("installs once for two who ask at once, and again when the lock file changes", async () => {
  await using place = await folder(working);
  const found = await Promise.all([ensureAgents(place.options), ensureAgents(place.options)]);
  assert.deepEqual(found, Array(2).fill({ claude: join(place.path, claudePath, "claude") }));
  await ensureAgents(place.options);
  assert.equal(await readFile(join(place.path, "runs"), "utf8"), "run\n");
  assert.deepEqual(place.reported, ["Installing the agents used by tests and demo (about 370 MB, once) …"]);

  await writeFile(join(place.path, "package-lock.json"), `{"changed":true}`);
  await ensureAgents(place.options);
  assert.equal(await readFile(join(place.path, "runs"), "utf8"), "run\nrun\n");
});

test("says what npm said and what to do when npm cannot install", async () => {
  await using place = await folder("echo 'npm error code ENOTFOUND' >&2; exit 3");
  await assert.rejects(ensureAgents(place.options), (error: Error) => {
    assert.match(error.message, /npm ci --ignore-scripts.*ended with exit code 3/u);
    assert.match(error.message, /ENOTFOUND/u);
    assert.match(error.message, /npm config get registry/u);
    return true;
  });
  await assert.rejects(
    ensureAgents({ ...place.options, npm: "/nowhere/npm" }),
    /did not start: spawn \/nowhere\/npm ENOENT/u,
  );
});

test("says so when npm leaves the executable out", async () => {
  await using place = await folder("exit 0");
  await assert.rejects(ensureAgents(place.options), /brought no @anthropic-ai\/claude-code-linux-x64.*omit=optional/u);
});

test("names the architectures there are for one there is not", async () => {
  await assert.rejects(ensureAgents({ architecture: "riscv64" }), /linux-riscv64; linux-x64 and linux-arm64 are/u);
});

async function folder(npmScript: string) {
  const path = await mkdtemp(join(tmpdir(), "hl-agents-"));
  const npm = join(path, "npm");
  await writeFile(npm, `#!/bin/sh\n${npmScript}\n`);
  await chmod(npm, 0o755);
  await writeFile(join(path, "package-lock.json"), "{}");
  const reported: string[] = [];
  return {
    path,
    reported,
    options: { directory: path, npm, architecture: "x64", report: (line: string) => void reported.push(line) },
    [Symbol.asyncDispose]: () => rm(path, { recursive: true, force: true }),
  };
}
