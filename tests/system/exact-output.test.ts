/**
 * Goal: P6: output is the same bytes on every path: reply, streamed as text and as base64, read from the log, through the cloud, hl-client.
 * Method: files with what breaks in careless hands, copied to both streams by one command; each path's bytes are put together by their
 * positions and compared.
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { startSystem, type TestSystem } from "@hl/testkit/system.ts";

const kilobyte = 1024;
/** Messages are cut about here. */
const pieceBytes = 64 * kilobyte;

/** A character of four bytes across the end of a piece at every offset. */
const straddling = Buffer.concat(
  [0, 1, 2, 3, 4].flatMap((back) => [Buffer.alloc(pieceBytes - back, "x"), Buffer.from("😀")]),
);

const contents: Readonly<Record<string, { readonly bytes: Buffer; readonly isText: boolean }>> = {
  empty: { bytes: Buffer.alloc(0), isText: true },
  "text that JSON escapes, with \\r and NUL": { bytes: Buffer.from('a"b\\c\r\nd\0\u0007\u2028é€😀\r'), isText: true },
  "every byte value": { bytes: Buffer.from(Array.from({ length: 256 }, (_, value) => value)), isText: false },
  "lone surrogates as bytes": { bytes: Buffer.from([0x61, 0xed, 0xa0, 0x80, 0xed, 0xbf, 0xbf, 0x62]), isText: false },
  // Text only where no read of the pipe has cut a character.
  "characters across the ends of pieces": { bytes: straddling, isText: false },
  "half a character at the end": { bytes: Buffer.from([0x61, 0xf0, 0x9f, 0x98]), isText: false },
  "a line without an end": { bytes: Buffer.alloc(700 * kilobyte, "line "), isText: true },
  "a megabyte of anything": { bytes: randomBytes(1024 * kilobyte), isText: false },
};

type Streams = Readonly<Record<"stdout" | "stderr", Buffer>>;

describe("exact output", () => {
  let system: TestSystem;
  let local: MessageClient;
  let remote: MessageClient;
  before(async () => {
    const processes = { allowed_commands: ["sh", "cat"], max_reply_bytes: 4 * kilobyte * kilobyte };
    system = await startSystem({ config: { process_management: processes } });
    local = await system.daemon.connect();
    remote = await system.operator.connect();
  });
  after(async () => {
    local[Symbol.dispose]();
    remote[Symbol.dispose]();
    await system[Symbol.asyncDispose]();
  });

  let number = 0;
  for (const [name, { bytes, isText }] of Object.entries(contents)) {
    test(`P6: ${name}: the same on every path`, async () => {
      writeFileSync(join(system.daemon.workspace, "content"), bytes);
      writeFileSync(join(system.daemon.workspace, "other"), bytes.toReversed());
      const expected: Streams = { stdout: bytes, stderr: Buffer.from(bytes.toReversed()) };
      const command = { command: "sh", args: ["-c", "cat content & cat other >&2; wait"] };
      const check = (path: string, found: Streams): void => {
        for (const stream of ["stdout", "stderr"] as const) {
          assert.ok(found[stream].equals(expected[stream]), `${path}, ${stream}: ${found[stream].length} bytes`);
        }
      };

      for (const [path, client] of Object.entries({ local, remote })) {
        const reply = await client.call("command/execute", { ...command, command_id: `c${++number}` });
        check(`${path} reply`, {
          stdout: Buffer.from(reply.stdout, reply.stdout_encoding ?? "utf8"),
          stderr: Buffer.from(reply.stderr, reply.stderr_encoding ?? "utf8"),
        });
        check(`${path} log`, await logged(client, `c${number}`, 100 * kilobyte + 1));
        for (const encoding of ["auto", "base64"] as const) {
          const stream = await streamed(client, { ...command, command_id: `c${++number}`, output_encoding: encoding });
          check(`${path} ${encoding}`, stream.found);
          const wanted = encoding === "base64" ? "base64" : isText ? "utf8" : undefined;
          for (const used of stream.stdoutEncodings) assert.equal(used, wanted ?? used);
        }
      }
      const args = ["exec", "--", command.command, ...command.args];
      for (const run of [system.client, (given: readonly string[]) => system.daemon.client(given)]) {
        const { stdout } = await run(args);
        assert.ok(stdout.equals(bytes), `hl-client: ${stdout.length} bytes`);
      }
    });
  }

  test("P6, P7: a line of 64 MB passes on the streamed paths", async () => {
    const line = Buffer.alloc(64 * kilobyte * kilobyte, "0123456789abcdefg");
    writeFileSync(join(system.daemon.workspace, "line"), line);
    for (const encoding of ["auto", "base64"] as const) {
      const command = { command: "cat", args: ["line"], command_id: `c${++number}`, output_encoding: encoding };
      assert.ok((await streamed(local, command)).found.stdout.equals(line), encoding);
    }
    const { stdout } = await system.client(["exec", "--", "cat", "line"]);
    assert.ok(stdout.equals(line), "hl-client through the cloud");
  });
});

/** Runs a command with its output streamed. Positions must go on without a hole, and offsets in each stream as well. */
async function streamed(
  client: MessageClient,
  params: Record<string, unknown>,
): Promise<{ readonly found: Streams; readonly stdoutEncodings: Set<string> }> {
  const parts: Record<string, Buffer[]> = { stdout: [], stderr: [] };
  const sizes: Record<string, number> = { stdout: 0, stderr: 0 };
  const stdoutEncodings = new Set<string>();
  let failure: unknown;
  client.listener = ({ method, params: chunk }: Message) => {
    if (method !== "command/output" || chunk.command_id !== params["command_id"]) return false;
    const { stream, offset, position, data, encoding } = chunk;
    if (offset !== sizes[stream] || position !== sizes["stdout"]! + sizes["stderr"]!)
      failure ??= new Error(`a hole at ${position}`);
    const bytes = Buffer.from(data, encoding);
    if (stream === "stdout") stdoutEncodings.add(encoding);
    sizes[stream]! += bytes.length;
    parts[stream]!.push(bytes);
    return true;
  };
  await client.call("command/execute", { ...params, stream_output: true });
  const mine = (message: Message): boolean =>
    message.method === "command/exited" && message.params.command_id === params["command_id"];
  const end = await client.next(mine, 120_000);
  assert.equal(failure, undefined);
  assert.deepEqual(
    [end.params.status, end.params.stdout_bytes, end.params.stderr_bytes],
    ["completed", sizes["stdout"], sizes["stderr"]],
  );
  return {
    found: { stdout: Buffer.concat(parts["stdout"]!), stderr: Buffer.concat(parts["stderr"]!) },
    stdoutEncodings,
  };
}

/** The recorded output of each stream, page by page. */
async function logged(client: MessageClient, commandId: string, limit: number): Promise<Streams> {
  const found = { stdout: Buffer.alloc(0), stderr: Buffer.alloc(0) };
  for (const stream of ["stdout", "stderr"] as const) {
    const parts: Buffer[] = [];
    for (let offset = 0; ;) {
      const page = await client.call("command/logs", { command_id: commandId, stream, offset, limit });
      assert.equal(page.skipped_bytes, 0);
      for (const { data, encoding } of page.chunks) parts.push(Buffer.from(data, encoding));
      offset = page.next_offset;
      if (page.eof) break;
    }
    found[stream] = Buffer.concat(parts);
  }
  return found;
}
