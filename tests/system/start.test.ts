/**
 * Goal: what the README promises of its first command: it prints a dashboard and three commands, each of them works, and Ctrl-C leaves
 * no process. Method: a clone of the repository, `npm start` in a process group of its own as a terminal has it, and its very words.
 */
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { http } from "@hl/testkit/http.ts";
import { noProcessOf, processesOf } from "@hl/testkit/processes.ts";
import { collect, repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { within } from "@hl/testkit/waiting.ts";

/** It compiles hl-runner first, and runs the sources. */
const startMs = 150_000;

test("npm start prints a dashboard and three commands, each of them works, and Ctrl-C leaves no process", async () => {
  using folder = temporaryFolder("hl");
  const checkout = folder.path;
  cloneWorkingTree(checkout);
  const { HL_PROGRAMS: _bundles, PATH: path = "", ...others } = process.env; // A newcomer has the sources and no bundles.
  const env = { ...others, PATH: `${dirname(process.execPath)}:${path}` };
  const starting = spawn("npm", ["start"], { cwd: checkout, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const ended = collect(starting);
  const leave = (): void => void process.kill(-starting.pid!, "SIGINT");
  try {
    const printed = await within("what npm start prints", printedUntil(starting, "Ctrl-C", ended), startMs);
    const dashboard = /^\s*dashboard\s+(http:\S+?)\/?#/m.exec(printed)?.[1];
    assert.ok(dashboard !== undefined, printed);
    const page = await http(`${dashboard}/`);
    assert.equal(page.status, 200);
    assert.match(page.text, /<html/i);

    const commands = printed.split("\n").filter((line) => /^\s*bin\//.test(line));
    assert.equal(commands.length, 3, printed);
    const expected = [/healthy/, /^git version \d/, /^hello from the cloud$/m];
    for (const [index, command] of commands.entries()) {
      // As typed: the line itself, in a shell, in the checkout, with no more than a login has.
      const shell = spawn("sh", ["-c", command], { cwd: checkout, env: { PATH: "/usr/bin:/bin", HOME: checkout } });
      const { code, stdout, stderr } = await collect(shell);
      assert.equal(code, 0, `${command}: ${stderr}`);
      assert.match(stdout.toString(), expected[index]!, command);
    }
    assert.ok(processesOf(checkout).length >= 3);
  } finally {
    leave();
    await within("npm start to end", ended, 30_000);
  }
  await noProcessOf(checkout);

  // A second start finds the enrolled VM of the first.
  const again = spawn("npm", ["start"], { cwd: checkout, env, detached: true, stdio: ["ignore", "pipe", "pipe"] });
  const endedAgain = collect(again);
  try {
    await within("the second start", printedUntil(again, "Ctrl-C", endedAgain), startMs);
  } finally {
    process.kill(-again.pid!, "SIGINT");
    await within("its end", endedAgain, 30_000);
  }
  await noProcessOf(checkout);
});

/** What git tracks or would track, as it is on the disk, with the packages that are installed already. */
function cloneWorkingTree(target: string): void {
  const listed = execFileSync("git", ["ls-files", "-z", "--cached", "--others", "--exclude-standard"], {
    cwd: repositoryRoot,
  });
  for (const path of listed
    .toString()
    .split("\0")
    .filter((name) => name !== "")) {
    cpSync(join(repositoryRoot, path), join(target, path), { force: true, verbatimSymlinks: true });
  }
  // As `npm ci` leaves it: the workspaces are links into this checkout, not into the one the tests run in.
  const modules = join(repositoryRoot, "node_modules");
  mkdirSync(join(target, "node_modules/@hl"), { recursive: true });
  for (const name of readdirSync(modules).filter((entry) => entry !== "@hl")) {
    symlinkSync(join(modules, name), join(target, "node_modules", name));
  }
  for (const name of readdirSync(join(modules, "@hl"))) {
    symlinkSync(join(target, "packages", name), join(target, "node_modules/@hl", name));
  }
}

/** Everything on standard output up to and with the line that holds `mark`. */
function printedUntil(
  child: ReturnType<typeof spawn>,
  mark: string,
  ended: ReturnType<typeof collect>,
): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    text += chunk.toString("utf8");
    if (text.includes(mark)) resolve(text);
  });
  void ended.then(({ code, stderr }) => reject(new Error(`npm start ended with ${code}: ${stderr}`)));
  return promise;
}
