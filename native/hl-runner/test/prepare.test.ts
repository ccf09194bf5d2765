/**
 * Goal: what is prepared ahead (PREPARE, hold, private folders) changes when things happen, not what: nothing is executed before GO (C1), what could not
 * be prepared is told at START (X2), and a private folder goes with its run. Method: real programs that leave a file behind when they run.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { frame, TYPE, type FieldName, type FieldValue } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { childrenOf, eventually, newId, Runner, startFrame, untilDead, type Connection } from "./runner.ts";

const go = frame(TYPE.go);
const system = ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache"];

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

const toEnd = async (connection: Connection): Promise<void> => {
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
};
const ran = (name: string): string => join(runner.folder, name);
const held = (name: string, id: string): Buffer =>
  startFrame({ id, argv: ["/bin/touch", ran(name)], numbers: { hold: 1 } });
/** The lists of START and PREPARE. */
const fields = (name: FieldName, values: readonly string[]): [FieldName, FieldValue][] =>
  values.map((value) => [name, value]);

test("C1: a held START executes nothing before GO", async () => {
  const id = newId();
  const connection = runner.connect();
  connection.send(held("after-go", id));
  await eventually(() => childrenOf(childrenOf(runner.pid)[0] ?? 0).length === 1, "the process that waits for GO");
  assert.equal(existsSync(ran("after-go")), false);
  connection.send(go);
  assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
  assert.equal(existsSync(ran("after-go")), true);
  await toEnd(connection);
});

test("C1: a connection that ends before GO has started nothing and leaves nothing", async () => {
  const id = newId();
  const temporary = ran("unwanted-temporary");
  const connection = runner.connect();
  connection.send(frame(TYPE.prepare, [["temporary", temporary]]));
  connection.send(held("unwanted", id));
  await eventually(() => existsSync(join(runner.state, id)) && existsSync(temporary), "the run's folders");
  connection.disconnect();
  await eventually(() => !existsSync(join(runner.state, id)) && !existsSync(temporary), "the folders to go");
  assert.equal(existsSync(ran("unwanted")), false);
});

test("C1: a shim that is killed before GO has started nothing", async () => {
  await using own = await Runner.start();
  own.shimDeathsExpected = 1;
  const id = newId();
  const connection = own.connect();
  const file = join(own.folder, "killed");
  connection.send(startFrame({ id, argv: ["/bin/touch", file], numbers: { hold: 1 } }));
  let waiting: number[] = [];
  const shim = (): number => childrenOf(own.pid)[0] ?? 0;
  await eventually(() => (waiting = childrenOf(shim())).length === 1, "the process that waits for GO");
  process.kill(shim(), "SIGKILL");
  await untilDead(waiting[0]!);
  connection.send(go);
  await connection.untilClosed();
  await eventually(() => own.stderr.includes("a shim died"), "the resident to notice");
  assert.equal(existsSync(file), false);
});

test("GO may come together with its START, in pieces, or to one that does not wait", async () => {
  const pieces: ((start: Buffer) => Buffer[])[] = [
    (start) => [Buffer.concat([start, go])],
    (start) => [Buffer.concat([start, go.subarray(0, 2)]), go.subarray(2)],
    (start) => [start, ...Array.from(go, (byte) => Buffer.of(byte))],
  ];
  for (const [number, cut] of pieces.entries()) {
    const connection = runner.connect();
    const name = `pieces-${String(number)}`;
    for (const piece of cut(held(name, newId()))) {
      connection.send(piece);
      await new Promise((resolve) => setImmediate(resolve));
    }
    await connection.frame(TYPE.end);
    assert.equal(existsSync(ran(name)), true);
    connection.send(Buffer.concat([go, frame(TYPE.release)])); // What follows is still understood.
    await connection.untilClosed();
    assert.equal(
      connection.frames.some(({ type }) => type === TYPE.failed),
      false,
    );
  }
});

test("anything but GO after a held START is FAILED(protocol), and nothing starts", async () => {
  for (const together of [true, false]) {
    const connection = runner.connect();
    const stop = frame(TYPE.stop, [["grace_ms", 0]]);
    connection.send(together ? Buffer.concat([held("refused", newId()), stop]) : held("refused", newId()));
    if (!together) connection.send(stop);
    assert.equal((await connection.frame(TYPE.failed))["stage"], "protocol");
    await connection.untilClosed();
    assert.equal(existsSync(ran("refused")), false);
  }
});

test("X1: rules of PREPARE and START add up, in the sandbox and without one", async () => {
  const ahead = ran("ahead");
  const later = ran("later");
  for (const folder of [ahead, later, ran("never")]) mkdirSync(folder);
  for (const sandbox of [1, 0]) {
    const id = newId();
    const connection = runner.connect();
    connection.send(frame(TYPE.prepare, [...fields("allow_read", system), ...fields("allow_write", [ahead])]));
    const script = `touch ${ahead}/f; touch ${later}/f; touch ${ran("never")}/f 2>/dev/null && echo out`;
    const argv = ["/bin/sh", "-c", script];
    connection.send(startFrame({ id, argv, numbers: { sandbox }, allowWrite: [later, "/dev/null"] }));
    const end = await connection.frame(TYPE.end);
    assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), sandbox === 1 ? "" : "out\n");
    assert.equal(end["exit_code"], sandbox === 1 ? 1 : 0);
    await toEnd(connection);
    assert.deepEqual([readdirSync(ahead), readdirSync(later)], [["f"], ["f"]]);
  }
});

test("X2: what PREPARE could not do is told at START", async () => {
  const bad: [FieldName, string, string][] = [
    ["allow_read", ran("n".repeat(256)), "sandbox"],
    ["make_directory", ran("missing/folder"), "log"],
    ["temporary", ran("missing/temporary"), "log"],
  ];
  for (const [name, path, stage] of bad) {
    const connection = runner.connect();
    connection.send(frame(TYPE.prepare, [[name, path]]));
    connection.send(startFrame({ argv: ["/bin/true"], numbers: { sandbox: 1 }, allowRead: system }));
    const failed = await connection.frame(TYPE.failed);
    assert.equal(failed["stage"], stage);
    assert.match(String(failed["message"]), new RegExp(path));
    await connection.untilClosed();
  }
});

test("a private folder is made for the run, and removed with all it holds when its tree is empty", async () => {
  const home = ran("home");
  const writing = "mkdir -p $0/a/b; touch $0/a/b/f; chmod 0 $0/a; umask; stat -c %a $0 $1";
  for (const inPrepare of [true, false]) {
    const id = newId();
    const temporary = ran(`temporary-${String(inPrepare)}`);
    const connection = runner.connect();
    const folders: [FieldName, FieldValue][] = [
      ["make_directory", home],
      ["temporary", temporary],
    ];
    if (inPrepare) connection.send(frame(TYPE.prepare, folders));
    const argv = ["/bin/sh", "-c", writing, temporary, home];
    const start: [FieldName, FieldValue][] = [["id", id], ...fields("argv", argv), ["cwd", "/"]];
    connection.send(frame(TYPE.start, [...start, ...folders]));
    await connection.frame(TYPE.empty);
    await toEnd(connection);
    assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "0022\n700\n700\n");
    assert.equal(existsSync(temporary), false);
    assert.equal(statSync(home).isDirectory(), true);
  }
});

test("a private folder goes also when its run cannot start, and one that is there is refused and kept", async () => {
  const temporary = ran("of-a-failure");
  const start = (argv: string): Buffer =>
    frame(TYPE.start, [
      ["id", newId()],
      ["argv", argv],
      ["cwd", "/"],
      ["temporary", temporary],
    ]);
  const first = runner.connect();
  first.send(start("/no/such/program"));
  assert.equal((await first.frame(TYPE.failed))["stage"], "exec");
  await first.untilClosed();
  assert.equal(existsSync(temporary), false);
  mkdirSync(temporary);
  writeFileSync(join(temporary, "kept"), "kept");
  const second = runner.connect();
  second.send(start("/bin/true"));
  assert.equal((await second.frame(TYPE.failed))["stage"], "log");
  await second.untilClosed();
  assert.equal(readFileSync(join(temporary, "kept"), "utf8"), "kept");
});

test("START may not name another private folder than PREPARE did", async () => {
  const connection = runner.connect();
  connection.send(frame(TYPE.prepare, [["temporary", ran("one")]]));
  connection.send(
    frame(TYPE.start, [
      ["id", newId()],
      ["argv", "/bin/true"],
      ["cwd", "/"],
      ["temporary", ran("two")],
    ]),
  );
  assert.equal((await connection.frame(TYPE.failed))["stage"], "protocol");
  await connection.untilClosed();
  assert.deepEqual([existsSync(ran("one")), existsSync(ran("two"))], [false, false]);
});

test("X1: a private folder is handed on empty and as new: one whose user has changed it is not", async () => {
  await using own = await Runner.start();
  const spares = (folder: string): string[] => readdirSync(folder).filter((name) => name.startsWith(".spare-"));
  const after = async (script: string): Promise<{ readonly inode: number; readonly spares: number }> => {
    const root = mkdtempSync(join(own.folder, "root-"));
    const temporary = join(root, "temporary");
    const connection = own.connect();
    const argv = fields("argv", ["/bin/sh", "-c", script, temporary]);
    connection.send(frame(TYPE.start, [["id", newId()], ...argv, ["cwd", "/"], ["temporary", temporary]])); // prettier-ignore
    assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
    await toEnd(connection);
    assert.equal(existsSync(temporary), false);
    const [spare] = spares(root);
    return { inode: spare === undefined ? 0 : statSync(join(root, spare)).ino, spares: spares(root).length };
  };
  for (const script of ["true", "touch $0/f; rm $0/f", "chmod 500 $0; chmod 700 $0"])
    assert.equal((await after(script)).spares, 1, script);
  const many = "cd $0; i=0; while [ $i -lt 300 ]; do : > a-name-that-is-long-enough-to-need-room-$i; i=$((i+1)); done";
  for (const script of ["chmod 755 $0", "chmod 1700 $0", "rmdir $0", "rmdir $0; ln -s / $0", `${many}; rm a-name-*`])
    assert.equal((await after(script)).spares, 0, script);
  // What is in it is removed, and then it is as any other that was used: removed.
  assert.equal((await after("mkdir -p $0/a/b; touch $0/a/f")).spares, 0);
});

test("a spare folder becomes the next private folder", async () => {
  const root = mkdtempSync(join(runner.folder, "root-"));
  const inodes = new Set<string>();
  for (const name of ["one", "two", "three"]) {
    const id = newId();
    const connection = runner.connect();
    const temporary = join(root, name);
    const argv = fields("argv", ["/bin/stat", "-c", "%i %a", temporary]);
    connection.send(frame(TYPE.start, [["id", id], ...argv, ["cwd", "/"], ["temporary", temporary]])); // prettier-ignore
    await connection.frame(TYPE.end);
    await toEnd(connection);
    inodes.add(readLog(join(runner.state, id)).bytes(1).toString());
  }
  assert.equal(inodes.size, 1, [...inodes].join());
});
