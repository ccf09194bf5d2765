/**
 * Goal: after a crash the old or the new content is there, never a mixture, and a failure leaves nothing but the old file.
 * Method: real files; a real process that is killed while it writes; a target that cannot be replaced.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { writeFileAtomic } from "./atomic-file.ts";

function directoryFor(context: TestContext): string {
  const directory = mkdtempSync(join(tmpdir(), "hl-atomic-"));
  context.after(() => rmSync(directory, { recursive: true, force: true }));
  return directory;
}

test("writes text and bytes with the mode asked for, whatever the umask, and leaves no other file", (context) => {
  const directory = directoryFor(context);
  const path = join(directory, "file");
  const umask = process.umask(0o077);
  try {
    writeFileAtomic(path, "text é", 0o640);
  } finally {
    process.umask(umask);
  }
  assert.equal(readFileSync(path, "utf8"), "text é");
  assert.equal(statSync(path).mode & 0o777, 0o640);
  writeFileAtomic(path, new Uint8Array([0, 255]), 0o600);
  assert.deepEqual([...readFileSync(path)], [0, 255]);
  assert.equal(statSync(path).mode & 0o777, 0o600);
  assert.deepEqual(readdirSync(directory), ["file"]);
});

test("a temporary file that a crash left behind is never taken for the file and stops no later write", (context) => {
  const directory = directoryFor(context);
  const path = join(directory, "file");
  writeFileAtomic(path, "old", 0o600);
  writeFileSync(`${path}.0123456789ab.tmp`, "half of the n");
  assert.equal(readFileSync(path, "utf8"), "old");
  writeFileAtomic(path, "new", 0o600);
  assert.equal(readFileSync(path, "utf8"), "new");
});

test("a failure is told as what it was and removes the temporary file", (context) => {
  const directory = directoryFor(context);
  const path = join(directory, "taken");
  mkdirSync(join(path, "inside"), { recursive: true });
  assert.throws(() => writeFileAtomic(path, "new", 0o600), { code: /EISDIR|ENOTEMPTY/ });
  assert.deepEqual(readdirSync(directory), ["taken"]);
  assert.throws(() => writeFileAtomic(join(directory, "missing", "file"), "new", 0o600), { code: "ENOENT" });
});

test("S4: a process that is killed while it writes leaves one whole version", async (context) => {
  const directory = directoryFor(context);
  const path = join(directory, "file");
  const program = `
    import { writeFileAtomic } from ${JSON.stringify(import.meta.resolve("./atomic-file.ts"))};
    for (let version = 0; ; version += 1) {
      writeFileAtomic(${JSON.stringify(path)}, String(version % 10).repeat(2_000_000), 0o600);
      if (version === 2) console.log("writing");
    }`;
  for (let count = 0; count < 3; count += 1) {
    const child = spawn(process.execPath, ["--input-type=module-typescript", "-e", program]);
    await once(child.stdout, "data");
    child.kill("SIGKILL");
    await once(child, "exit");
    const content = readFileSync(path, "utf8");
    assert.equal(content.length, 2_000_000);
    assert.equal(content, content.slice(0, 1).repeat(2_000_000));
  }
});
