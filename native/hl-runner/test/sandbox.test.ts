/** Goal: the kernel keeps a sandboxed program inside its paths (X1), and a sandbox that cannot be had refuses the command (X2). Method: real programs, real files, as root too. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { binary, Runner } from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const skip = probe["landlock_abi"] === 0 ? "this kernel has no Landlock" : false;
const SYSTEM = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/no/such/path"];

let runner: Runner;
let inside: string;
let outside: string;
before(async () => {
  runner = await Runner.start();
  inside = join(runner.folder, "inside");
  outside = join(runner.folder, "outside");
  mkdirSync(inside);
  mkdirSync(outside);
  writeFileSync(join(outside, "secret"), "secret");
  writeFileSync(join(outside, "listed"), "listed");
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const sandboxed = async (
  script: string,
  more: { allowRead?: string[]; allowWrite?: string[] } = {},
): Promise<{ code: unknown; out: string; error: string }> => {
  const { end, stdout, stderr } = await runner.run({
    argv: ["/bin/sh", "-c", script],
    cwd: inside,
    numbers: { sandbox: 1 },
    allowRead: [...SYSTEM, ...(more.allowRead ?? [])],
    allowWrite: [inside, "/dev/null", ...(more.allowWrite ?? [])],
  });
  return { code: end["exit_code"], out: stdout.toString(), error: stderr.toString() };
};

test("X1: allowed paths work", { skip }, async () => {
  const result = await sandboxed(
    "mkdir a; echo text > a/f; mv a/f g; ln -s g l; cat l; : > g; echo null > /dev/null && ls /usr > /dev/null; rm -r a",
  );
  assert.deepEqual(result, { code: 0, out: "text\n", error: "" });
});

test("X1: writing, reading, truncating and linking outside are refused", { skip }, async () => {
  const secret = join(outside, "secret");
  for (const script of [
    `echo x > ${secret}`,
    `: >> ${outside}/new`,
    `cat ${secret}`,
    `ls ${outside}`,
    `rm ${secret}`,
    `mv ${secret} ./`,
    `ln ${secret} ./stolen`,
    `mkdir ${outside}/d`,
    `truncate -s 0 ${secret}`,
  ]) {
    const { code, error } = await sandboxed(script);
    assert.notEqual(code, 0, script);
    assert.match(error, /denied|cross-device/i, script);
  }
  assert.equal(readFileSync(secret, "utf8"), "secret");
  assert.equal(existsSync(join(outside, "new")), false);
});

test("X1: /etc/shadow stays closed, also to root", { skip }, async () => {
  const { code, error } = await sandboxed("cat /etc/shadow");
  assert.equal(code, 1);
  assert.match(error, /Permission denied/);
});

test("X1: a file given as a rule opens that file only", { skip }, async () => {
  const listed = join(outside, "listed");
  assert.deepEqual(await sandboxed(`cat ${listed}`, { allowRead: [listed] }), { code: 0, out: "listed", error: "" });
  assert.notEqual((await sandboxed(`echo x > ${listed}`, { allowRead: [listed] })).code, 0);
  assert.equal((await sandboxed(`echo written > ${listed}`, { allowWrite: [listed] })).code, 0);
  assert.equal(readFileSync(listed, "utf8"), "written\n");
  assert.notEqual((await sandboxed(`cat ${outside}/secret`, { allowWrite: [listed] })).code, 0);
});

test("X1: only allowed paths are executed", { skip }, async () => {
  writeFileSync(join(outside, "program"), "#!/bin/sh\necho ran\n", { mode: 0o755 });
  assert.notEqual((await sandboxed(join(outside, "program"))).code, 0);
  const failed = await runner.failed({ argv: [join(outside, "program")], numbers: { sandbox: 1 }, allowRead: SYSTEM });
  assert.equal(failed["stage"], "exec");
  assert.equal(failed["errno"], 13);
});

test("X1: children inherit the sandbox", { skip }, async () => {
  const { out } = await sandboxed(`(setsid sh -c 'cat ${outside}/secret 2>/dev/null || echo refused')`);
  assert.equal(out, "refused\n");
});

test(
  "X1: processes outside cannot be signalled, nor abstract sockets reached",
  { skip: skip || (Number(probe["landlock_abi"]) < 6 ? "needs ABI 6" : false) },
  async () => {
    assert.notEqual((await sandboxed(`kill -0 ${String(process.pid)}`)).code, 0);
    assert.equal((await sandboxed("sleep 100 & kill $!")).code, 0);
    const name = `\0hl-${String(process.pid)}`;
    const server = createServer((socket) => socket.end());
    await new Promise<void>((resolve) => server.listen(name, resolve));
    const script = `require('net').connect('\\0hl-${String(process.pid)}').on('error',(e)=>console.log(e.code)).on('connect',()=>{console.log('in');process.exit()})`;
    const run = async (sandbox: number): Promise<string> => {
      const { stdout } = await runner.run({
        argv: [process.execPath, "-e", script],
        numbers: { sandbox },
        allowRead: ["/"],
      });
      return stdout.toString().trim();
    };
    assert.equal(await run(0), "in");
    assert.equal(await run(1), "EPERM");
    server.close();
  },
);

test("X2: no rule at all is a sandbox that allows nothing", { skip }, async () => {
  const failed = await runner.failed({ argv: ["/bin/true"], numbers: { sandbox: 1 } });
  assert.equal(failed["stage"], "exec");
});

test("X2: a sandbox that cannot be entered refuses the command, also to root", { skip }, async () => {
  const failed = await runner.failed({
    argv: ["/bin/true"],
    numbers: { sandbox: 1, no_new_privs: 0 },
    allowRead: SYSTEM,
  });
  assert.equal(failed["stage"], "sandbox");
  assert.equal(failed["errno"], 1);
});

test("X1: a rule whose path has become a link, or has one in it, opens nothing", { skip }, async () => {
  const [folder, file] = [join(runner.folder, "was-a-folder"), join(runner.folder, "was-a-file")];
  symlinkSync(outside, folder);
  symlinkSync(join(outside, "secret"), file);
  for (const path of [folder, file, join(folder, "secret")]) {
    const { code, error } = await sandboxed(`cat ${outside}/secret`, { allowRead: [path], allowWrite: [path] });
    assert.equal(code, 1, path);
    assert.match(error, /Permission denied/);
  }
});
