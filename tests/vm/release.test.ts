// Goal: whoever builds a commit again gets the same bytes, so that a release can be checked by somebody else; without a key it is unsigned, with one
// openssl says whose it is. Method: two builds in different folders at different times, compared file by file.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { generateKeyPairSync } from "node:crypto";
import { readFileSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { makeRelease } from "../../scripts/release.ts";

test("two builds are the same bytes, but for the signature that only one has", async () => {
  using folder = temporaryFolder("hl-release-twice");
  const [first, second] = [join(folder.path, "first"), join(folder.path, "second")];
  const { privateKey, publicKey } = generateKeyPairSync("ed25519");
  await makeRelease({ outputFolder: first, key: undefined });
  await makeRelease({ outputFolder: second, key: privateKey });
  const names = readdirSync(first).sort();
  const archive = names.find((name) => name.endsWith(".tar.gz")) ?? assert.fail(names.join());
  const deb = names.find((name) => name.endsWith(".deb")) ?? assert.fail(names.join());
  assert.deepEqual(readdirSync(second).sort(), [...names, `${archive}.sig`, `${deb}.sig`].sort());
  for (const name of names) {
    const [one, other] = [readFileSync(join(first, name)), readFileSync(join(second, name))];
    assert.ok(one.equals(other), `${name} differs between two builds`);
  }
  const key = join(folder.path, "release.pub");
  writeFileSync(key, publicKey.export({ type: "spki", format: "pem" }));
  for (const name of [archive, deb]) {
    const path = join(second, name);
    const args = ["pkeyutl", "-verify", "-rawin", "-pubin", "-inkey", key, "-in", path, "-sigfile", `${path}.sig`];
    assert.equal(spawnSync("openssl", args).status, 0, name);
    execFileSync("sha256sum", ["--check", "--quiet", `${name}.sha256`], { cwd: second });
  }
});
