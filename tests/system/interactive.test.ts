/**
 * Goal: commands that somebody types at: terminals, input by offset, and a caller's own wait. Method: the real daemon over its socket;
 * each answer and the command's own words are looked at.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const config = { process_management: { allowed_commands: ["sh", "bash", "sleep", "stty", "python3", "echo"] } };
const shell = (id: string, script: string, more: object = {}): Message => ({
  command_id: id,
  command: "sh",
  args: ["-c", script],
  ...more,
});

describe("terminals over the protocol", () => {
  test("X1: a command in a terminal: size, TERM, one stream, its own tty in the sandbox and nobody else's", async () => {
    await using daemon = await TestDaemon.start({ config });
    using client = await daemon.connect();
    const script =
      "stty size; echo $TERM; echo error >&2; test -t 0 && test -t 2 && echo typed > /dev/tty && echo again > $(tty); ls /dev/pts";
    const answer = await client.call("command/execute", shell("one", script, { pty: { rows: 11, columns: 22 } }));
    assert.match(answer.stdout, /^11 22\r\nxterm-256color\r\nerror\r\ntyped\r\nagain\r\nls: .*Permission denied\r\n$/);
    assert.deepEqual([answer.stderr, answer.stderr_bytes], ["", 0]);
    const defaults = await client.call(
      "command/execute",
      shell("two", "stty size; echo $TERM", { pty: {}, env: { TERM: "vt100" } }),
    );
    assert.equal(defaults.stdout, "24 80\r\nvt100\r\n");
    assert.equal((await client.call("command/execute", shell("three", "echo [$TERM]"))).stdout, "[]\n");
    for (const pty of [{ rows: 0 }, { columns: 65_536 }, { rows: 1.5 }, true]) {
      await assert.rejects(
        client.call("command/execute", shell("refused", "true", { pty })),
        (error) => error instanceof CallFailed && error.error.code === -32602 && /pty/.test(error.error.message),
        JSON.stringify(pty),
      );
    }
  });

  test("C1: the terminal is part of what a command_id names, `wait` is not", async () => {
    await using daemon = await TestDaemon.start({ config });
    using client = await daemon.connect();
    const once = shell("once", "stty size", { pty: { rows: 9, columns: 9 } });
    assert.equal((await client.call("command/execute", once)).stdout, "9 9\r\n");
    assert.equal((await client.call("command/execute", { ...once, wait: 5, stdin: true })).stdout, "9 9\r\n");
    for (const pty of [undefined, { rows: 9, columns: 8 }]) {
      const conflict = client.call("command/execute", { ...once, pty });
      await assert.rejects(conflict, (error) => error instanceof CallFailed && error.error.code === 1106);
    }
  });

  test("resize, ^C and ^D reach the program; P3: also after the daemon was killed; P1: cancel leaves nothing", async () => {
    await using daemon = await TestDaemon.start({ config });
    let client = await daemon.connect();
    const bash = { command_id: "bash", command: "bash", args: ["--norc", "--noediting", "-i"], env: { PS1: "$ " } };
    await client.call("command/execute", { ...bash, pty: {}, stream_output: true });
    const type = (data: string): Promise<Message> => client.call("command/input", { command_id: "bash", data });
    await type("echo rea''dy\n");
    await shows(client, "bash", /ready\r\n/);
    assert.deepEqual(await client.call("command/resize", { command_id: "bash", rows: 44, columns: 55 }), {
      resized: true,
    });
    await type("stty size\n");
    await shows(client, "bash", /44 55\r\n/);
    await type("sh -c 'echo run''ning; exec sleep 1000'\n");
    await shows(client, "bash", /running\r\n/);
    client[Symbol.dispose]();
    await daemon.kill();
    await daemon.restart();
    client = await daemon.connect();
    await type("\x03");
    await shows(client, "bash", /\^C\r\n/);
    assert.deepEqual(await client.call("command/resize", { command_id: "bash", rows: 45, columns: 56 }), {
      resized: true,
    });
    await type("stty size\n");
    await shows(client, "bash", /45 56\r\n/);
    await type("sleep 1000 & sleep 1001 & echo jo''bs\n");
    await shows(client, "bash", /\r\njobs\r\n/);
    const end = await client.call("command/cancel", { command_id: "bash", grace: 30 });
    assert.deepEqual([end.reason, end.signal], ["cancelled", "SIGHUP"]);
    assert.deepEqual(await client.call("command/resize", { command_id: "bash", rows: 1, columns: 1 }), {
      resized: false,
    });
    await client.call("command/execute", { ...bash, command_id: "second", pty: {}, stream_output: true });
    await client.call("command/input", { command_id: "second", eof: true });
    assert.equal((await client.call("command/status", { command_id: "second", wait: 30 })).reason, "exited");
    client[Symbol.dispose]();
    await daemon.program.stop();
    await noProcessOf(daemon.home);
  });
});

describe("input by offset", () => {
  test("C1: what was given already is not given again, a hole is refused, and the daemon may be killed in between", async () => {
    await using daemon = await TestDaemon.start({ config });
    let client = await daemon.connect();
    const command_id = "reader";
    const bytes = randomBytes(3 * 1024 * 1024);
    const program =
      "import hashlib,sys; data=sys.stdin.buffer.read(); print(len(data), hashlib.sha256(data).hexdigest())";
    await client.call("command/execute", {
      command_id,
      command: "python3",
      args: ["-c", program],
      stdin: true,
      stream_output: true,
    });
    const give = (from: number, to: number, more: object = {}): Promise<Message> =>
      client.call("command/input", {
        command_id,
        data: bytes.subarray(from, to).toString("base64"),
        encoding: "base64",
        offset: from,
        ...more,
      });
    // Two at once, of several windows each, stay whole and in order; the third repeats both.
    const both = await Promise.all([give(0, 1_500_000), give(1_500_000, 2_500_000), give(0, 2_500_000)]);
    assert.deepEqual(
      both.map((each) => each.accepted_bytes),
      [1_500_000, 1_000_000, 2_500_000],
    );
    await assert.rejects(
      give(2_500_001, 2_500_002),
      (error) => error instanceof CallFailed && /2500001 is beyond the 2500000/.test(error.error.message),
    );
    client[Symbol.dispose]();
    await daemon.kill();
    await daemon.restart();
    client = await daemon.connect();
    assert.equal((await give(2_400_000, bytes.length)).accepted_bytes, bytes.length - 2_400_000);
    for (const _ of [1, 2]) await give(bytes.length, bytes.length, { eof: true });
    const end = await client.call("command/status", { command_id, wait: 30 });
    assert.equal(end.stdout, `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}\n`);
    client[Symbol.dispose]();
  });
});

describe("a caller's own wait", () => {
  test("P2: when it has passed the answer is the present state and the command goes on; its end is asked for in the same way", async () => {
    await using daemon = await TestDaemon.start({ config });
    using client = await daemon.connect();
    const slow = shell("slow", "echo first; read go; echo second", { stdin: true, wait: 0.3 });
    const early = await until("an answer with its first line", async () => {
      const answer = await client.call("command/execute", slow);
      return answer.stdout_bytes > 0 && answer;
    });
    assert.deepEqual(
      [early.status, early.stdout_bytes, early.reason, early.stdout],
      ["started", 6, undefined, undefined],
    );
    assert.equal((await client.call("command/status", { command_id: "slow" })).status, "started");
    assert.equal((await client.call("command/status", { command_id: "slow", wait: 0.05 })).status, "started");
    const waiting = client.call("command/status", { command_id: "slow", wait: 3600 });
    await client.call("command/input", { command_id: "slow", data: "\n" });
    const end = await waiting;
    assert.deepEqual([end.status, end.stdout], ["completed", "first\nsecond\n"]);
    assert.equal((await client.call("command/execute", shell("quick", "echo done", { wait: 60 }))).stdout, "done\n");
  });
});

async function shows(client: MessageClient, id: string, what: RegExp): Promise<void> {
  await until(`${String(what)} on the terminal of ${id}`, async () => {
    const { chunks } = await client.call("command/logs", { command_id: id });
    return what.test(
      (chunks as Message[])
        .map((chunk) => Buffer.from(chunk.data, chunk.encoding === "base64" ? "base64" : "utf8").toString())
        .join(""),
    );
  });
}
