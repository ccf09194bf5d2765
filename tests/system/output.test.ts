/**
 * Goal: output is bytes and comes through whole, however much it is, and costs the daemon no memory. Method: random bytes with a known
 * checksum, read back through hl-client; the daemon's resident memory as the kernel counts it.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { rssBytes } from "@hl/testkit/processes.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";

const megabyte = 1024 * 1024;

describe("output", () => {
  test("P5, P6, P7: 50 MB of random bytes are exact, locally and through the cloud, and the daemon does not grow", async () => {
    await using system = await startSystem();
    const { daemon } = system;
    const bytes = randomBytes(50 * megabyte);
    writeFileSync(join(daemon.workspace, "random"), bytes);
    const expected = { bytes: bytes.length, sha256: sha256(bytes) };
    for (const client of [(args: readonly string[]) => daemon.client(args), system.client]) {
      // The first time warms up: code is compiled and buffers reach the size they keep.
      for (const warm of [false, true]) {
        const before = rssBytes(daemon.pid);
        const { stdout, stderr, code } = await client(["exec", "--", "cat", "random"]);
        assert.deepEqual([code, stderr], [0, ""]);
        assert.deepEqual({ bytes: stdout.length, sha256: sha256(stdout) }, expected);
        const grownMb = (rssBytes(daemon.pid) - before) / megabyte;
        if (warm) assert.ok(grownMb < 32, `the daemon's resident memory grew by ${grownMb.toFixed(1)} MB`);
      }
    }
  });

  test("P6: every byte value, NUL and cut code points come through, on both streams", async () => {
    await using daemon = await TestDaemon.start({ config: { process_management: { allowed_commands: ["sh"] } } });
    const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    const broken = Buffer.from([0xe2, 0x82, 0x00, 0xff, 0xfe, 0xc3, 0x28, 0x0a, 0xf0, 0x9f, 0x98]);
    writeFileSync(join(daemon.workspace, "every"), every);
    writeFileSync(join(daemon.workspace, "broken"), broken);
    const args = ["-c", "cat every; cat broken >&2; cat every >&2; cat broken"];
    using client = await daemon.connect();

    const answer = await client.call("command/execute", { command_id: "once", command: "sh", args });
    assert.deepEqual([answer.stdout_encoding, answer.stderr_encoding], ["base64", "base64"]);
    assert.deepEqual(Buffer.from(answer.stdout, "base64"), Buffer.concat([every, broken]));
    assert.deepEqual(Buffer.from(answer.stderr, "base64"), Buffer.concat([broken, every]));

    const streamed = await followed(client, { command_id: "streamed", command: "sh", args });
    assert.deepEqual(streamed["stdout"], Buffer.concat([every, broken]));
    assert.deepEqual(streamed["stderr"], Buffer.concat([broken, every]));
  });

  test("P5: a reader that stops reading delays nobody, and gets everything when it goes on", async () => {
    await using daemon = await TestDaemon.start({
      config: { process_management: { allowed_commands: ["cat", "echo"] } },
    });
    const bytes = randomBytes(20 * megabyte);
    writeFileSync(join(daemon.workspace, "random"), bytes);
    using slow = await daemon.connect();
    using other = await daemon.connect();
    slow.pause();
    const following = followed(slow, { command_id: "big", command: "cat", args: ["random"] });
    // The command ends although its reader has taken nothing, and others are served meanwhile.
    const seen = await other.call("command/execute", { command_id: "echo", command: "echo", args: ["served"] });
    assert.equal(seen.stdout, "served\n");
    for (;;) {
      const { status } = await other.call("command/status", { command_id: "big" }).catch(() => ({ status: "unknown" }));
      if (status === "completed") break;
    }
    slow.resume();
    assert.equal(sha256((await following)["stdout"]!), sha256(bytes));
  });
});

/** Runs a command with its output streamed; answers the bytes of each stream, which must come without a hole. */
async function followed(client: MessageClient, params: object): Promise<Record<string, Buffer>> {
  const parts: Record<string, Buffer[]> = { stdout: [], stderr: [] };
  const sizes: Record<string, number> = { stdout: 0, stderr: 0 };
  client.listener = ({ method, params: chunk }: Message) => {
    if (method !== "command/output") return false;
    const data = Buffer.from(chunk.data, chunk.encoding === "base64" ? "base64" : "utf8");
    assert.equal(chunk.offset, sizes[chunk.stream], "a hole in the output");
    sizes[chunk.stream]! += data.length;
    parts[chunk.stream]!.push(data);
    return true;
  };
  await client.call("command/execute", { ...params, stream_output: true });
  const exited = await client.next((message) => message.method === "command/exited", 60_000);
  assert.equal(exited.params.status, "completed");
  return Object.fromEntries(Object.entries(parts).map(([stream, chunks]) => [stream, Buffer.concat(chunks)]));
}

function sha256(bytes: Buffer): string {
  return createHash("sha256").update(bytes).digest("hex");
}
