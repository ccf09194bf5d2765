/**
 * Goal: what users report of other daemons about input, output and its delivery does not happen here (docs/lessons.md). Method: bytes
 * whose every position is known, readers that stop, begin anywhere or say everything at once.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { createConnection } from "node:net";
import { after, before, describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { rssBytes } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";

const replyBytesMax = 10_000;
const process_management = {
  allowed_commands: ["sh", "cat", "printf", "seq", "true"],
  max_reply_bytes: replyBytesMax,
};
const megabyte = 1024 * 1024;

/** 40 lines on both streams in turn, with characters of one to four bytes, a NUL and a byte that is no text. */
const mixed = String.raw`i=0; while [ $i -lt 20 ]; do echo "out $i é€😀"; printf 'err %d\000\377\n' $i >&2; i=$((i+1)); done`;

const bytesOf = ({ data, encoding }: Message): Buffer =>
  Buffer.from(data as string, encoding === "base64" ? "base64" : "utf8");

describe("lessons: streams and delivery", () => {
  let daemon: TestDaemon;
  let client: MessageClient;

  const execute = (command_id: string, command: string, args: readonly string[], more: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command, args, ...more });
  const run = (command_id: string, script: string, more: object = {}): Promise<Message> =>
    execute(command_id, "sh", ["-c", script], more);
  const logs = async (command_id: string, more: object = {}): Promise<{ bytes: Buffer; next: number }> => {
    const { chunks, next_offset, eof } = await client.call("command/logs", { command_id, ...more });
    assert.equal(eof, true);
    return { bytes: Buffer.concat(chunks.map(bytesOf)), next: next_offset };
  };

  before(async () => {
    daemon = await TestDaemon.start({ config: { process_management } });
    client = await daemon.connect();
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test("lesson 7: standard input is /dev/null unless it is asked for; then it has an end", async () => {
    assert.equal((await execute("no-input", "cat", [])).stdout, "");
    assert.equal((await run("which", "readlink /proc/self/fd/0")).stdout, "/dev/null\n");
    await execute("input", "cat", [], { stdin: true, stream_output: true });
    const heredoc = "cat <<'EOF'\n$HOME `id` \"quotes\"\nEOF\nexit 3\n";
    await client.call("command/input", { command_id: "input", data: heredoc });
    await client.call("command/input", { command_id: "input", data: "last", eof: true });
    const { params } = await client.next(({ method }) => method === "command/exited");
    assert.deepEqual([params.exit_code, params.stdout], [0, `${heredoc}last`]);
  });

  test("lesson 8: arguments arrive untouched, no shell reads them, and one command's exit ends no other", async () => {
    const odd = [
      "",
      " ",
      "two words",
      "$HOME $(id) `id`",
      `'single' "double" \\back\\`,
      "line\nbreak\r\n\ttab",
      "<<EOF\ntext\nEOF",
      "; exit 9; && || | & > /tmp/x",
      "*?[a-z]{1,2}~!#%",
      "-rf",
      "--",
      "é€😀\u202e",
      "\u001b[31m\u0007",
      "x".repeat(100_000),
    ];
    const wanted = odd.map((one) => `${one}\0`).join("");
    const { stdout_bytes } = await execute("odd", "printf", [String.raw`%s\0`, ...odd]);
    assert.equal(stdout_bytes, Buffer.byteLength(wanted));
    assert.equal((await logs("odd")).bytes.toString("utf8"), wanted);
    assert.equal((await run("exits", "exit 9")).exit_code, 9);
    assert.equal((await run("goes-on", "echo on")).stdout, "on\n");
  });

  test("lesson 11: P5: readers that stand still delay neither the command, nor another reader, nor other callers", async () => {
    const bytes = 20 * megabyte;
    const stalled = await Promise.all(Array.from({ length: 8 }, () => daemon.connect()));
    try {
      await execute("flood", "sh", ["-c", `read go; head -c ${bytes} /dev/zero`], { stdin: true, stream_output: true });
      for (const one of stalled) {
        await one.call("command/subscribe", { command_id: "flood" });
        one.pause();
      }
      let received = 0;
      client.listener = ({ method, params }: Message) => {
        if (method !== "command/output") return false;
        assert.equal(params.offset, received);
        received += bytesOf(params).length;
        return true;
      };
      await client.call("command/input", { command_id: "flood", data: "\n", eof: true });
      const exited = await client.next(({ method }) => method === "command/exited");
      client.listener = undefined;
      assert.deepEqual([exited.params.status, received], ["completed", bytes]);
      assert.equal((await run("others", "echo served")).stdout, "served\n");
    } finally {
      for (const one of stalled) one[Symbol.dispose]();
    }
  });

  test("lesson 13: P5, P6: logs and subscribe from every single offset give exactly the rest", async () => {
    const { stdout_bytes, stderr_bytes } = await run("mixed", mixed);
    const whole = {
      both: (await logs("mixed")).bytes,
      stdout: (await logs("mixed", { stream: "stdout" })).bytes,
      stderr: (await logs("mixed", { stream: "stderr" })).bytes,
    };
    const out = Array.from({ length: 20 }, (_, line) => `out ${line} é€😀\n`).join("");
    const err = Array.from({ length: 20 }, (_, line) => `err ${line}\0\xff\n`).join("");
    assert.equal(whole.stdout.toString("utf8"), out);
    assert.equal(whole.stderr.toString("latin1"), err);
    assert.deepEqual([stdout_bytes, stderr_bytes], [whole.stdout.length, whole.stderr.length]);
    const { length } = whole.both;
    assert.equal(length, whole.stdout.length + whole.stderr.length);
    for (const [stream, all] of [
      ["stdout", whole.stdout],
      ["stderr", whole.stderr],
      [undefined, whole.both],
    ] as const) {
      for (let offset = 0; offset <= all.length; offset += 1) {
        const { bytes, next } = await logs("mixed", { offset, ...(stream === undefined ? {} : { stream }) });
        assert.ok(bytes.equals(all.subarray(offset)), `logs of ${stream} from ${offset}`);
        assert.equal(next, all.length);
      }
    }
    for (let offset = 0; offset <= length; offset += 1) {
      const seen = await follow("mixed", offset);
      assert.ok(seen.equals(whole.both.subarray(offset)), `subscribe from ${offset}`);
    }
  });

  test("lesson 13: P5: readers that begin anywhere while it runs get everything from there, once", async () => {
    const lines = 30;
    // A line for each that is read from input, so that the log grows while readers come.
    const id = "growing";
    await run(id, `while read line; do echo "got $line"; done`, { stdin: true, stream_output: true });
    const followers: { from: number; seen: Promise<Buffer> }[] = [];
    for (let line = 0; line < lines; line += 1) {
      await client.call("command/input", { command_id: id, data: `${line}\n` });
      const other = await daemon.connect();
      const from = line * 5;
      await until("the offset to be written", async () => {
        return (await client.call("command/status", { command_id: id })).stdout_bytes >= from;
      });
      followers.push({ from, seen: follow(id, from, other).finally(() => other[Symbol.dispose]()) });
    }
    await client.call("command/input", { command_id: id, eof: true });
    const all = Buffer.from(Array.from({ length: lines }, (_, line) => `got ${line}\n`).join(""));
    for (const { from, seen } of followers) assert.deepEqual((await seen).toString(), all.subarray(from).toString());
    await client.next(({ method, params }) => method === "command/exited" && params.command_id === id);
  });

  test("lesson 14: P7: a large output is answered with head and tail, what is missing is counted, and the log has it", async () => {
    const last = 200_000;
    const whole = Buffer.from(Array.from({ length: last }, (_, index) => `${index + 1}\n`).join(""));
    const answer = await execute("large", "seq", [String(last)]);
    assert.deepEqual([answer.status, answer.stdout_bytes, answer.stdout_truncated], ["completed", whole.length, true]);
    const half = replyBytesMax / 2;
    assert.equal(answer.stdout, whole.toString().slice(0, half) + whole.toString().slice(-half));
    assert.equal(sha256((await logs("large", { limit: 4 * megabyte })).bytes), sha256(whole));
    const small = await execute("small", "seq", ["3"]);
    assert.deepEqual([small.stdout, small.stdout_truncated], ["1\n2\n3\n", false]);
  });

  test("lesson 15: P7: one line of 64 MB passes through, whole, and nothing grows with it", async () => {
    const bytes = 64 * megabyte;
    let received = 0;
    const hash = createHash("sha256");
    client.listener = ({ method, params }: Message) => {
      if (method !== "command/output") return false;
      const data = bytesOf(params);
      received += data.length;
      hash.update(data);
      return true;
    };
    const growth: number[] = [];
    const line = `head -c ${bytes} /dev/zero | tr '\\0' x`;
    for (const id of ["warm-up", "line"]) {
      const before = rssBytes(daemon.pid);
      await run(id, line, { stream_output: true });
      const { params } = await client.next(({ method }) => method === "command/exited", 60_000);
      assert.deepEqual([params.status, params.stdout_bytes], ["completed", bytes]);
      growth.push((rssBytes(daemon.pid) - before) / megabyte);
    }
    client.listener = undefined;
    assert.equal(received, 2 * bytes);
    assert.equal(hash.digest("hex"), sha256(Buffer.alloc(2 * bytes, "x")));
    assert.ok(growth[1]! < 32, `the daemon grew by ${growth.join(" and ")} MB`);
  });

  test("lesson 16: P6: a character whose bytes come apart is whole in the answer and exact in the stream", async () => {
    const parts: Message[] = [];
    client.listener = ({ method, params }: Message) => {
      if (method !== "command/output") return false;
      parts.push(params);
      return true;
    };
    // The euro sign, a byte at a time, each after the last one has arrived here.
    const script = String.raw`printf 'a\342'; read x; printf '\202'; read x; printf '\254b'`;
    await run("euro", script, { stdin: true, stream_output: true });
    for (const count of [1, 2]) {
      await until("the next part", () => parts.length === count);
      await client.call("command/input", { command_id: "euro", data: "\n" });
    }
    const { params } = await client.next(({ method }) => method === "command/exited");
    client.listener = undefined;
    assert.deepEqual([params.stdout, params.stdout_encoding], ["a€b", undefined]);
    assert.deepEqual(
      parts.map(({ offset, encoding }) => [offset, encoding]),
      [
        [0, "base64"],
        [2, "base64"],
        [3, "base64"],
      ],
    );
    assert.equal(Buffer.concat(parts.map(bytesOf)).toString("utf8"), "a€b");
  });

  test("lesson 21: requests that come in one write are all served, each once, also behind the login and cut anywhere", async () => {
    const count = 60;
    const request = (id: number, method: string, params: object): string =>
      `${JSON.stringify({ jsonrpc: "2.0", id, method, params })}\n`;
    const text = [
      request(0, "auth/login", { token: daemon.token }),
      ...Array.from({ length: count }, (_, index) =>
        request(index + 1, "command/execute", { command_id: `piped-${index}`, command: "printf", args: [`€${index}`] }),
      ),
    ].join("");
    const bytes = Buffer.from(text);
    const cut = bytes.indexOf("€") + 1; // In the middle of a character.
    const answers: Message[] = [];
    const all = Promise.withResolvers<undefined>();
    const socket = createConnection(daemon.program.ready.socket);
    let rest = "";
    socket.setEncoding("utf8").on("data", (chunk: string) => {
      const lines = (rest + chunk).split("\n");
      rest = lines.pop()!;
      answers.push(...lines.map((line) => JSON.parse(line)));
      if (answers.length > count) all.resolve(undefined);
    });
    socket.write(bytes.subarray(0, cut), () => socket.write(bytes.subarray(cut)));
    await within("every answer", all.promise);
    socket.destroy();
    assert.deepEqual(
      answers.map(({ id }) => id as number).sort((a, b) => a - b),
      Array.from({ length: count + 1 }, (_, id) => id),
    );
    for (const { id, result } of answers) if (id > 0) assert.equal(result.stdout, `€${id - 1}`);
  });

  /** What a reader gets who begins at `from`, without a hole, to the end. */
  async function follow(command_id: string, from: number, reader = client): Promise<Buffer> {
    const parts: Buffer[] = [];
    let position = from;
    reader.listener = ({ method, params }: Message) => {
      if (method !== "command/output" || params.command_id !== command_id) return false;
      assert.equal(params.position, position);
      const data = bytesOf(params);
      position += data.length;
      parts.push(data);
      return true;
    };
    await reader.call("command/subscribe", { command_id, offset: from });
    await reader.next(({ method, params }) => method === "command/exited" && params.command_id === command_id);
    reader.listener = undefined;
    return Buffer.concat(parts);
  }
});

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
