/**
 * Goal: a sandboxed program has no capability and gets none, whoever runs it and whatever it executes (X1); as root it keeps what the permission bits give
 * to its number. Method: /proc/self/status of a program and of what it executes; as root, the same attacks with and without the sandbox.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { chmodSync, chownSync, mkdirSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { binary, isAlive, newId, Runner, type StartOptions } from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const skip = probe["landlock_abi"] === 0 ? "this kernel has no Landlock" : false;
const isRoot = process.getuid?.() === 0;
const needsRoot = skip || (isRoot ? false : "needs root");
const OTHER_USER = 12345;
const NONE = "0000000000000000";

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const shell = async (script: string, numbers: StartOptions["numbers"]): Promise<{ code: unknown; out: string }> => {
  const argv = ["/bin/sh", "-c", script];
  const { end, stdout } = await runner.run({ argv, numbers: numbers ?? {}, allowRead: ["/"], allowWrite: [runner.folder, "/dev/null"] }); // prettier-ignore
  return { code: end["exit_code"], out: stdout.toString().trim() };
};
const setsOf = async (script: string, numbers: StartOptions["numbers"]): Promise<Record<string, string>> => {
  const { out } = await shell(script, numbers);
  return Object.fromEntries(out.split("\n").map((line) => line.split(/:\s+/) as [string, string]));
};
const READ_SETS = "grep ^Cap /proc/self/status";

describe("capabilities", () => {
  for (const [name, numbers] of [
    ["with the machine's network", { sandbox: 1 }],
    ["in a network namespace, where it could have had all", { sandbox: 1, network: 1 }],
    ["with namespaces allowed", { sandbox: 1, allow_namespaces: 1 }],
  ] as const) {
    const missing = "network" in numbers && probe["network_namespaces"] !== true ? "needs network namespaces" : false;
    test(`X1: a sandboxed program has none, ${name}`, { skip: skip || missing }, async () => {
      const { CapBnd, ...sets } = await setsOf(READ_SETS, numbers);
      assert.deepEqual(sets, { CapInh: NONE, CapPrm: NONE, CapEff: NONE, CapAmb: NONE });
      // Only whoever has the right to lower its bounds has anything to lose by them; no_new_privs holds the others.
      if (isRoot || "network" in numbers) assert.equal(CapBnd, NONE);
    });
  }

  test("X1: root without the sandbox has them: the attacks are real", { skip: needsRoot }, async () => {
    assert.notEqual((await setsOf(READ_SETS, {}))["CapEff"], NONE);
    const file = join(runner.folder, "of-another-user");
    writeFileSync(file, "private", { mode: 0o600 });
    chownSync(file, OTHER_USER, OTHER_USER);
    assert.deepEqual(await shell(`cat ${file}`, {}), { code: 0, out: "private" });
    assert.equal((await shell(`cat ${file}`, { sandbox: 1 })).code, 1);
    assert.equal((await shell(`chown 0 ${file}`, { sandbox: 1 })).code, 1);
    assert.equal(statSync(file).uid, OTHER_USER);
  });

  test("X1: a set-user-id program of root's gives nothing back", { skip: needsRoot }, async () => {
    const program = join(runner.folder, "set-user-id");
    execFileSync("cp", ["/bin/grep", program]);
    chmodSync(program, 0o4755);
    const { CapBnd, CapEff, CapPrm } = await setsOf(`${program} ^Cap /proc/self/status`, { sandbox: 1 });
    assert.deepEqual([CapBnd, CapEff, CapPrm], [NONE, NONE, NONE]);
  });

  test("root works on its own files by their permission bits", { skip: needsRoot }, async () => {
    const folder = join(runner.folder, "own");
    mkdirSync(folder, { mode: 0o700 });
    const script = `cd ${folder} && echo x > f && chmod 600 f && cat f && mkdir d && mv f d/g && rm -r d && id -u`;
    assert.deepEqual(await shell(script, { sandbox: 1 }), { code: 0, out: "x\n0" });
  });

  test("P1: the shim keeps what it needs: it ends the tree and removes what was closed to it", { skip }, async () => {
    const id = newId();
    const temporary = join(runner.folder, "temporary");
    const connection = runner.connect();
    const script = `trap "" TERM; mkdir -p ${temporary}/a/b; chmod 0 ${temporary}/a; echo ready; sleep 100 & wait`;
    const lists = ["/bin/sh", "-c", script].map((word) => ["argv", word] as const);
    const rules = [["allow_read", "/"], ["allow_write", runner.folder], ["allow_write", "/dev/null"]] as const; // prettier-ignore
    connection.send(frame(TYPE.start, [["id", id], ...lists, ["cwd", "/"], ["env", "PATH=/usr/bin:/bin"], ["sandbox", 1], ["temporary", temporary], ...rules])); // prettier-ignore
    const { pid } = await connection.frame(TYPE.started);
    await connection.frame(TYPE.output);
    connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
    await connection.frame(TYPE.empty);
    assert.equal(isAlive(Number(pid)), false);
    connection.send(frame(TYPE.release));
    await connection.untilClosed();
    assert.throws(() => statSync(temporary), /ENOENT/);
  });
});
