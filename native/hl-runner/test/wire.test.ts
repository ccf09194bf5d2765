/** Goal: input, attach and a hostile daemon. Method: frames by hand, whole, cut and broken; the resident and other shims must never notice. */
import assert from "node:assert/strict";
import { existsSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { field, frame, parseFrames, rawFrame, TAG, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import { Connection, newId, Runner, startFrame, untilDead } from "./runner.ts";

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

async function finish(connection: Connection): Promise<void> {
  await connection.frame(TYPE.empty);
  connection.send(frame(TYPE.release));
  await connection.untilClosed();
}

test("input: 5 MB pass through the window in order, then EOF", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const all = Buffer.alloc(5 << 20);
  for (let i = 0; i < all.length; i += 4) all.writeUInt32LE(i, i);
  let sent = 0;
  const taken = (): number =>
    Math.max(
      0,
      ...connection.frames.filter((each) => each.type === TYPE.inputTaken).map((each) => Number(each.fields["total"])),
    );
  while (sent < all.length) {
    await connection.until(() => sent - taken() <= (1 << 20) - (1 << 18), "room in the window");
    connection.send(frame(TYPE.input, [["data", all.subarray(sent, sent + (1 << 18))]]));
    sent += 1 << 18;
  }
  connection.send(frame(TYPE.inputEof));
  const end = await connection.frame(TYPE.end);
  assert.equal(end["exit_code"], 0);
  assert.equal(taken(), all.length);
  assert.ok(readLog(join(runner.state, id)).bytes(1).equals(all));
  await finish(connection);
});

test("input: a program that does not read holds up only its sender; STOP still works", async () => {
  const connection = runner.start({ argv: ["/bin/sleep", "1000"], numbers: { stdin: 1 } });
  connection.send(frame(TYPE.input, [["data", Buffer.alloc(1 << 20)]]));
  const taken = await connection.frame(TYPE.inputTaken);
  assert.ok(Number(taken["total"]) < 1 << 20);
  assert.equal(taken["received"], 1 << 20);
  connection.send(frame(TYPE.input, [["data", Buffer.alloc(1 << 20)]]));
  assert.match(String((await connection.frame(TYPE.failed))["message"]), /1 MiB/);
  connection.send(frame(TYPE.stop, [["grace_ms", 1000]]));
  assert.equal((await connection.frame(TYPE.end))["reason"], "cancelled");
  await finish(connection);
});

test("input: a program that closes its end is reported without a write", async () => {
  const connection = runner.start({ argv: ["/bin/sh", "-c", "exec 0<&-; sleep 1000"], numbers: { stdin: 1 } });
  assert.equal((await connection.frame(TYPE.inputTaken))["closed"], 1);
  connection.send(frame(TYPE.input, [["data", "lost"]]));
  connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
  await finish(connection);
});

test("input: without a pipe standard input is /dev/null", async () => {
  const { stdout } = await runner.run({ argv: ["/bin/sh", "-c", "cat; readlink /proc/self/fd/0"] });
  assert.equal(stdout.toString(), "/dev/null\n");
});

test("P3: a daemon that disconnects loses no byte; the next one attaches and sees it to the end", async () => {
  const id = newId();
  const first = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  const started = await first.frame(TYPE.started);
  first.send(frame(TYPE.input, [["data", "one "]]));
  await first.frame(TYPE.output);
  const path = join(runner.state, id, "attach.sock");
  first.disconnect();
  const second = await attachWhenThere(path);
  assert.deepEqual(await second.frame(TYPE.started), started);
  assert.equal((await second.frame(TYPE.inputTaken))["received"], 4);
  assert.equal((await second.frame(TYPE.output))["stdout_bytes"], 4);
  assert.equal(statSync(path).mode & 0o777, 0o660);
  assert.equal(statSync(join(runner.state, id)).mode & 0o777, 0o750);
  const identity = parseFrames(readFileSync(join(runner.state, id, "identity"))).frames[0];
  assert.equal(identity?.fields["pid"], started["pid"]);
  assert.equal(identity?.fields["boot_id"], readFileSync("/proc/sys/kernel/random/boot_id", "utf8").trim());
  second.send(frame(TYPE.input, [["data", "two"]]));
  await second.frame(TYPE.output, (fields) => fields["stdout_bytes"] === 7);
  /* A third replaces the second, as a daemon does whose predecessor hangs. */
  const third = await attachWhenThere(path);
  await third.frame(TYPE.started);
  await second.untilClosed();
  third.send(frame(TYPE.inputEof));
  assert.equal((await third.frame(TYPE.end))["exit_code"], 0);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "one two");
  await finish(third);
  assert.equal(existsSync(path), false);
});

test("P3: without a daemon the end is recorded and the shim leaves by itself", async () => {
  const id = newId();
  const connection = runner.start({
    id,
    argv: ["/bin/sh", "-c", 'read line; echo "$line"; exit 9'],
    numbers: { stdin: 1 },
  });
  const started = await connection.frame(TYPE.started);
  connection.socket.end(Buffer.concat([frame(TYPE.input, [["data", "words\n"]]), frame(TYPE.inputEof)]));
  await untilDead(Number(started["shim_pid"]));
  const end = parseFrames(readFileSync(join(runner.state, id, "end"))).frames[0];
  assert.equal(end?.type, TYPE.end);
  assert.equal(end?.fields["exit_code"], 9);
  assert.equal(end?.fields["stdout_bytes"], 6);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "words\n");
  assert.equal(existsSync(join(runner.state, id, "attach.sock")), false);
  assert.equal(existsSync(join(runner.state, id, "end.tmp")), false);
});

test("P3: timeouts hold without a daemon", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/sleep", "1000"], numbers: { timeout_ms: 100 } });
  const started = await connection.frame(TYPE.started);
  connection.disconnect();
  await untilDead(Number(started["shim_pid"]));
  assert.equal(parseFrames(readFileSync(join(runner.state, id, "end"))).frames[0]?.fields["reason"], "timeout");
});

test("P5: a daemon that does not read delays nobody", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/sh", "-c", "head -c 50000000 /dev/zero"] });
  connection.socket.pause();
  const started = await new Promise<number>((resolve) => {
    const look = (): void => {
      if (existsSync(join(runner.state, id, "end"))) resolve(1);
      else setImmediate(look);
    };
    look();
  });
  assert.equal(started, 1);
  connection.socket.resume();
  assert.equal((await connection.frame(TYPE.end))["stdout_bytes"], 50_000_000);
  await finish(connection);
});

const good = (): Buffer[] => [field(TAG.id, newId()), field(TAG.argv, "/bin/true"), field(TAG.cwd, "/")];
const start = (...fields: Buffer[]): Buffer => rawFrame(TYPE.start, Buffer.concat(fields));
const MALFORMED: [string, () => Buffer][] = [
  ["no field at all", () => start()],
  ["no id", () => start(...good().slice(1))],
  ["no argv", () => start(field(TAG.id, newId()), field(TAG.cwd, "/"))],
  ["no cwd", () => start(...good().slice(0, 2))],
  ["an id with a slash", () => start(field(TAG.id, "../escape"), ...good().slice(1))],
  ["an empty id", () => start(field(TAG.id, ""), ...good().slice(1))],
  ["an id of 65 letters", () => start(field(TAG.id, "x".repeat(65)), ...good().slice(1))],
  ["an id of dots", () => start(field(TAG.id, ".."), ...good().slice(1))],
  ["two ids", () => start(field(TAG.id, "a"), ...good())],
  ["a NUL in argv", () => start(...good(), field(TAG.argv, "a\0b"))],
  ["a NUL in env", () => start(...good(), field(TAG.env, "A=\0"))],
  ["a NUL in cwd", () => start(...good().slice(0, 2), field(TAG.cwd, "/\0"))],
  ["an env without =", () => start(...good(), field(TAG.env, "PATH"))],
  ["a relative program", () => start(field(TAG.id, newId()), field(TAG.argv, "true"), field(TAG.cwd, "/"))],
  ["a relative cwd", () => start(...good().slice(0, 2), field(TAG.cwd, "tmp"))],
  ["a relative allowed path", () => start(...good(), field(TAG.allow_read, "etc"))],
  ["a short number", () => start(...good(), field(TAG.timeout_ms, Buffer.from([1])))],
  ["an unknown stdin", () => start(...good(), field(TAG.stdin, 3))],
  ["an unknown sandbox", () => start(...good(), field(TAG.sandbox, 2))],
  ["a field longer than the frame", () => start(...good(), Buffer.from([1, 0, 255, 255, 255, 255]))],
  ["half a field header", () => start(...good(), Buffer.from([1, 0, 1]))],
  ["a first frame that is not START", () => frame(TYPE.stop)],
  ["an unknown type", () => rawFrame(200, Buffer.alloc(3))],
  ["a length of zero", () => Buffer.alloc(8)],
  ["a length of 4 GiB", () => Buffer.alloc(64, 255)],
  ["a length just over the limit", () => Buffer.from([1, 0, 0x40, 0, 1])],
  ["text", () => Buffer.from("GET / HTTP/1.1\r\n\r\n")],
];

for (const [name, bytes] of MALFORMED) {
  test(`malformed: ${name} is answered FAILED(protocol) and nothing starts`, async () => {
    const connection = runner.connect();
    connection.send(bytes());
    assert.equal((await connection.frame(TYPE.failed))["stage"], "protocol");
    await connection.untilClosed();
  });
}

test("malformed: a START that arrives byte by byte is whole; one that is cut starts nothing", async () => {
  const id = newId();
  const bytes = startFrame({ id, argv: ["/bin/echo", "slow"] });
  const connection = runner.connect();
  connection.socket.setNoDelay();
  for (const byte of bytes) connection.send(Buffer.from([byte]));
  await connection.frame(TYPE.end);
  assert.equal(readLog(join(runner.state, id)).bytes(1).toString(), "slow\n");
  await finish(connection);
  const cut = newId();
  const other = runner.connect();
  other.socket.end(startFrame({ id: cut, argv: ["/bin/true"] }).subarray(0, 40));
  await other.untilClosed();
  assert.equal(existsSync(join(runner.state, cut)), false);
});

test("malformed: after STARTED a bad frame is refused and the program lives on", async () => {
  const connection = runner.start({ argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await connection.frame(TYPE.started);
  const bad: [Buffer, RegExp][] = [
    [rawFrame(99, Buffer.alloc(0)), /unknown frame type/],
    [frame(TYPE.signal, [["signal", 65]]), /SIGNAL/],
    [frame(TYPE.resize, [["rows", 1]]), /no terminal/],
    [frame(TYPE.stop, [["reason", "bored"]]), /reason/],
    [rawFrame(TYPE.stop, Buffer.from([9, 0, 1])), /longer/],
    [startFrame({ argv: ["/bin/true"] }), /START/],
  ];
  for (const [bytes, message] of bad) {
    const before = connection.frames.length;
    connection.send(bytes);
    await connection.until(() => connection.frames.length > before, "a refusal");
    assert.match(String(connection.frames.at(-1)?.fields["message"]), message);
  }
  connection.send(frame(TYPE.inputEof));
  assert.equal((await connection.frame(TYPE.end))["exit_code"], 0);
  await finish(connection);
});

test("malformed: a length that is impossible after STARTED ends the connection, not the program", async () => {
  const id = newId();
  const connection = runner.start({ id, argv: ["/bin/cat"], numbers: { stdin: 1 } });
  await connection.frame(TYPE.started);
  connection.send(Buffer.alloc(32, 255));
  await connection.frame(TYPE.failed);
  await connection.untilClosed();
  const next = await attachWhenThere(join(runner.state, id, "attach.sock"));
  await next.frame(TYPE.started);
  next.send(frame(TYPE.inputEof));
  assert.equal((await next.frame(TYPE.end))["exit_code"], 0);
  await finish(next);
});

test("a request of 1.5 MB is taken, one that the kernel refuses is FAILED(exec)", async () => {
  const env = Array.from({ length: 15 }, (_, i) => `V${String(i)}=${"x".repeat(100_000)}`);
  const { stdout } = await runner.run({ argv: ["/bin/sh", "-c", "echo ${#V14}"], env });
  assert.equal(stdout.toString(), "100000\n");
  const failed = await runner.failed({ argv: ["/bin/true", "x".repeat(200_000)] });
  assert.equal(failed["stage"], "exec");
  assert.equal(failed["errno"], 7);
});

/** The socket appears when the shim has seen the disconnect; until then a connect fails, and the failure is the event to try again on. */
async function attachWhenThere(path: string): Promise<Connection> {
  for (let tries = 0; tries < 10_000; tries++) {
    const connection = new Connection(path);
    const connected = await new Promise<boolean>((resolve) => {
      connection.socket.once("connect", () => {
        resolve(true);
      });
      connection.socket.once("close", () => {
        resolve(false);
      });
    });
    if (connected) return connection;
  }
  throw new Error(`nobody listens on ${path}`);
}
