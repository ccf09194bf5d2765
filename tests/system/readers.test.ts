/**
 * Goal: P5, P7: a reader that stalls costs others nothing and the daemon no memory, and then gets the rest of the output or the exact number of
 * bytes that are gone. Method: one command copies what the test feeds it through a FIFO, in step with a reader that must miss nothing,
 * while another reader stalls until far more than the log keeps has passed it. HL_TEST_OUTPUT_GB: how much; a half without it.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { open } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { rssBytes } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { within } from "@hl/testkit/waiting.ts";

const megabyte = 1024 * 1024;
const totalBytes = Math.round(Number(process.env["HL_TEST_OUTPUT_GB"] ?? 0.5) * 1000) * megabyte;
const keptBytes = 32 * megabyte;
/** How far the writer may be ahead of the reader that keeps up. */
const leadBytes = 8 * megabyte;
/** A size with no round numbers in it, so that a piece in the wrong place is another piece. */
const pattern = randomBytes(7 * megabyte + 13);
const runMsMax = 20 * 60_000;

/** One follower of the command; every byte is compared with what was fed at its place. */
class Reader {
  readonly #client: MessageClient;
  readonly #exited = Promise.withResolvers<Message>();
  deliveredBytes = 0;
  missingBytes = 0;
  position = 0;
  #moved = Promise.withResolvers<undefined>();

  constructor(client: MessageClient) {
    this.#client = client;
    client.listener = (message: Message) => {
      try {
        return this.#take(message);
      } catch (error) {
        this.#exited.reject(error);
        return true;
      }
    };
    this.#exited.promise.catch(() => {});
  }

  get exited(): Promise<Message> {
    return this.#exited.promise;
  }

  /** Rejects when the output was not what was fed. */
  async reached(position: number): Promise<void> {
    while (this.position < position) await Promise.race([this.#moved.promise, this.#exited.promise]);
  }

  stall(): void {
    this.#client.pause();
  }

  goOn(): void {
    this.#client.resume();
  }

  #take({ method, params }: Message): boolean {
    if (method === "command/output") {
      const bytes = Buffer.from(params.data, params.encoding);
      assert.equal(params.position, this.position, "a hole, or bytes told twice");
      assert.ok(isFed(bytes, this.position), `other bytes than were fed, at ${this.position}`);
      this.deliveredBytes += bytes.length;
      this.position += bytes.length;
    } else if (method === "command/gap") {
      assert.equal(params.position, this.position);
      const missing = Number(params.bytes);
      this.missingBytes += missing;
      this.position += missing;
    } else if (method === "command/exited") this.#exited.resolve(params);
    else return false;
    this.#moved.resolve(undefined);
    this.#moved = Promise.withResolvers();
    return true;
  }
}

function isFed(bytes: Buffer, position: number): boolean {
  for (let at = 0; at < bytes.length;) {
    const start = (position + at) % pattern.length;
    const length = Math.min(bytes.length - at, pattern.length - start);
    if (bytes.compare(pattern, start, start + length, at, at + length) !== 0) return false;
    at += length;
  }
  return true;
}

/** Feeds `total` bytes, never further ahead of the reader than `leadBytes`. */
async function feed(fifo: string, total: number, reader: Reader, onStep: (fed: number) => void): Promise<void> {
  await using file = await open(fifo, "w");
  for (let fed = 0; fed < total;) {
    await reader.reached(fed - leadBytes);
    const start = fed % pattern.length;
    const piece = pattern.subarray(start, Math.min(pattern.length, start + megabyte, start + total - fed));
    fed += (await file.write(piece)).bytesWritten;
    onStep(fed);
  }
}

describe("readers", { timeout: runMsMax }, () => {
  test("P5, P7: a second reader misses nothing while the first stalls, which then gets an exact gap; the daemon stays as it is", async (context) => {
    const timeouts = { process_timeout: 3600, resource_limits: { max_execution_time: 3600 } };
    const config = { process_management: { log_bytes_max: keptBytes, ...timeouts } };
    await using daemon = await TestDaemon.start({ config });
    const fifo = join(daemon.workspace, "fifo");
    execFileSync("mkfifo", [fifo]);
    let rssMost = 0;
    const run = async (id: string, total: number, stallFrom: number, stallTo: number): Promise<[Reader, Reader]> => {
      using firstClient = await daemon.connect();
      using secondClient = await daemon.connect();
      const [first, second] = [new Reader(firstClient), new Reader(secondClient)];
      const command = { command_id: id, command: "cat", args: ["fifo"], output_encoding: "base64" };
      await firstClient.call("command/execute", { ...command, stream_output: true });
      await secondClient.call("command/subscribe", { command_id: id, output_encoding: "base64" });
      await feed(fifo, total, second, (fed) => {
        if (fed % (16 * megabyte) < megabyte) rssMost = Math.max(rssMost, rssBytes(daemon.pid));
        if (fed >= stallFrom && fed < stallTo) first.stall();
        else first.goOn();
      });
      first.goOn();
      for (const reader of [first, second]) {
        const end = await within("the end of the command", reader.exited, runMsMax);
        assert.deepEqual([end.status, end.stdout_bytes, end.stderr_bytes], ["completed", total, 0]);
        assert.equal(reader.deliveredBytes + reader.missingBytes, total, "delivered and missing are all");
      }
      return [first, second];
    };
    // Code is compiled and buffers reach the size they keep, also those of a reader that stalls.
    await run("warm", 120 * megabyte, 8 * megabyte, 90 * megabyte);
    const before = rssBytes(daemon.pid);
    rssMost = 0;
    const [first, second] = await run("measured", totalBytes, totalBytes / 4, totalBytes / 2);
    const grownMb = (rssMost - before) / megabyte;
    const told = `first missed ${first.missingBytes} bytes, resident memory grew by ${grownMb.toFixed(1)} MB`;
    assert.equal(second.missingBytes, 0, told);
    assert.ok(first.missingBytes > totalBytes / 4 - keptBytes - leadBytes - 4 * megabyte, told);
    assert.ok(grownMb < 32, told);
    context.diagnostic(told);
  });
});
