/**
 * Goal: what attacks.test.ts and files.test.ts prove holds for an ordinary user too, who has other means and other hurdles than root. Method: run
 * as root, this runs those suites as the user `nobody`; run by an ordinary user there is nothing left to do.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { chownSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { collect, repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";

const nobody = 65_534;
const suites = ["attacks", "files"].map((name) => join(repositoryRoot, `tests/attacks/${name}.test.ts`));
const skip = process.getuid?.() === 0 ? false : "the suites themselves are run by an ordinary user";

test("X1: the attacks as an ordinary user", { skip }, async (context) => {
  using folder = temporaryFolder("hl-nobody");
  chownSync(folder.path, nobody, nobody);
  const { NODE_TEST_CONTEXT: _, ...inherited } = process.env;
  const asNobody = { uid: nobody, gid: nobody, cwd: folder.path };
  const looking = await collect(spawn("/usr/bin/test", ["-r", suites[0] ?? ""], asNobody));
  if (looking.code !== 0) {
    context.skip(
      `THE ATTACKS DID NOT RUN AS AN ORDINARY USER: ${repositoryRoot} lies in a folder that only root may read`,
    );
    return;
  }
  const env = { ...inherited, HOME: folder.path, TMPDIR: folder.path };
  const args = [
    "--test",
    "--test-reporter=spec",
    "--disable-warning=ExperimentalWarning",
    "--test-concurrency=1",
    ...suites,
  ];
  const { code, stdout, stderr } = await collect(spawn(process.execPath, args, { ...asNobody, env }));
  for (const line of stdout.toString("utf8").split("\n")) context.diagnostic(line);
  assert.equal(code, 0, stderr);
});
