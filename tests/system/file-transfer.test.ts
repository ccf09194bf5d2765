/**
 * Goal: hl-client moves files of any size both ways, over connections that break and clients that are killed, without holding them in memory,
 * and what arrives is what was sent. Method: the real daemon and hl-client; between them a relay of bytes that the test cuts in the middle, and that
 * counts what has passed; memory is read at every piece that passes.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import { closeSync, mkdirSync, openSync, readdirSync, readFileSync, statSync, writeFileSync, writeSync } from "node:fs";
import { createConnection, createServer, type Socket } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { processesOf, rssBytes } from "@hl/testkit/processes.ts";
import { collect, spawnProgram, temporaryFolder, type Finished } from "@hl/testkit/programs.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const mebibyte = 1_048_576;

/** A file that no compression and no accident makes right, written without holding it. */
function makeFile(path: string, mebibytes: number): string {
  const hash = createHash("sha256");
  const file = openSync(path, "w");
  const piece = randomBytes(mebibyte);
  for (let index = 0; index < mebibytes; index += 1) {
    piece.writeUInt32LE(index);
    hash.update(piece);
    writeSync(file, piece);
  }
  closeSync(file);
  return hash.digest("hex");
}

function hashOf(path: string): string {
  return createHash("sha256").update(readFileSync(path)).digest("hex");
}

/** Stands between hl-client and the daemon's socket. */
class Relay implements AsyncDisposable {
  readonly path: string;
  /** Called with all that has passed so far. */
  onBytes: (passed: number) => void = () => {};
  passed = 0;
  readonly #sockets = new Set<Socket>();
  readonly #server;

  constructor(path: string, target: string) {
    this.path = path;
    this.#server = createServer((caller) => {
      const daemon = createConnection(target);
      for (const [from, to] of [
        [caller, daemon],
        [daemon, caller],
      ] as const) {
        this.#sockets.add(from);
        from.on("data", (chunk: Buffer) => {
          this.passed += chunk.length;
          this.onBytes(this.passed);
        });
        from.on("error", () => {});
        from.on("close", () => {
          this.#sockets.delete(from);
          to.destroy();
        });
        from.pipe(to);
      }
    }).listen(path);
  }

  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    this.#server.close();
  }
}

/** The most memory that each had before and after the middle of the transfer. */
interface Peaks {
  readonly before: Record<string, number>;
  readonly after: Record<string, number>;
}

/** hl-client through the relay, with the most memory that each of the three had. */
function runThrough(
  relay: Relay,
  daemon: TestDaemon,
  args: readonly string[],
  onBytes: (passed: number, kill: () => void) => void,
): { finished: Promise<Finished>; peaks: Peaks } {
  const token = ["--token-file", join(daemon.home, "data/auth/local_token")];
  const child = spawnProgram("hl-client", ["--socket", relay.path, ...token, "--json", ...args]);
  const peaks: Peaks = { before: {}, after: {} };
  const begunAt = relay.passed;
  let workspace: number | undefined;
  let measured = 0;
  const rss = (pid: number | undefined): number => {
    try {
      return pid === undefined ? 0 : rssBytes(pid) || 0;
    } catch {
      return 0; // It has just ended.
    }
  };
  relay.onBytes = (passed) => {
    onBytes(passed, () => child.kill("SIGKILL"));
    if (passed - measured < 4 * mebibyte) return;
    measured = passed;
    workspace ??= processesOf(daemon.home).find(({ commandLine }) => commandLine.startsWith("hl-workspace "))?.pid;
    const seen = passed - begunAt < middleBytes ? peaks.before : peaks.after;
    for (const [name, pid] of Object.entries({ client: child.pid, daemon: daemon.pid, workspace })) {
      seen[name] = Math.max(seen[name] ?? 0, rss(pid));
    }
  };
  return { finished: collect(child), peaks };
}

/** Half of what passes: as base64 300 MiB are 400. */
const middleBytes = 200 * mebibyte;
/** What the garbage of the last pieces may add; 150 MiB of the file would show. */
const growthBytesMax = 64 * mebibyte;

test("P7: 300 MB go up and down again over a connection that breaks in the middle, in little memory, and are the same", async () => {
  await using daemon = await TestDaemon.start();
  using folder = temporaryFolder("hl-transfer");
  const source = join(folder.path, "source");
  const sum = makeFile(source, 300);
  await using relay = new Relay(join(folder.path, "relay.sock"), daemon.program.ready.socket);
  const cutOnce = (): ((passed: number) => void) => {
    const at = relay.passed + 150 * mebibyte;
    let isCut = false;
    return (passed) => {
      if (isCut || passed < at) return;
      isCut = true;
      relay.cut();
    };
  };
  const up = runThrough(relay, daemon, ["file", "put", source, "in/the/vm", "--parents"], cutOnce());
  const sent = await up.finished;
  assert.equal(sent.code, 0, sent.stderr);
  assert.match(sent.stderr, /connection was lost/);
  assert.equal(JSON.parse(sent.stdout.toString()).sha256, sum);
  assert.equal(hashOf(join(daemon.workspace, "in/the/vm")), sum);
  assert.deepEqual(readdirSync(join(daemon.workspace, "in/the")), ["vm"], "no part is left");

  const target = join(folder.path, "target");
  const down = runThrough(relay, daemon, ["file", "get", "in/the/vm", target], cutOnce());
  const got = await down.finished;
  assert.equal(got.code, 0, got.stderr);
  assert.match(got.stderr, /connection was lost/);
  assert.equal(hashOf(target), sum);
  assert.deepEqual(readdirSync(folder.path).sort(), ["relay.sock", "source", "target"]);
  for (const { before, after } of [up.peaks, down.peaks]) {
    assert.deepEqual(Object.keys(after), ["client", "daemon", "workspace"]);
    for (const [name, peak] of Object.entries(after)) {
      const growth = peak - (before[name] ?? 0);
      assert.ok(peak > 0 && growth < growthBytesMax, `${name} grew by ${Math.round(growth / mebibyte)} MiB`);
    }
  }
});

test("a client that is killed in the middle leaves an upload and a download that the same line goes on with", async () => {
  await using daemon = await TestDaemon.start();
  using folder = temporaryFolder("hl-transfer");
  const source = join(folder.path, "source");
  const target = join(folder.path, "target");
  const sum = makeFile(source, 60);
  await using relay = new Relay(join(folder.path, "relay.sock"), daemon.program.ready.socket);
  for (const args of [
    ["file", "put", source, "copy"],
    ["file", "get", "copy", target],
  ]) {
    const before = relay.passed;
    const first = runThrough(relay, daemon, args, (passed, kill) => {
      if (passed - before > 50 * mebibyte) kill();
    });
    assert.equal((await first.finished).signal, "SIGKILL");
    const between = relay.passed;
    const second = await runThrough(relay, daemon, args, () => {}).finished;
    assert.equal(second.code, 0, second.stderr);
    // As base64 the whole is 80 MiB; more than 30 had arrived.
    assert.ok(relay.passed - between < 60 * mebibyte, `${(relay.passed - between) / mebibyte} MiB were sent again`);
  }
  assert.equal(hashOf(join(daemon.workspace, "copy")), sum);
  assert.equal(hashOf(target), sum);
});

test("an upload whose parts were spoilt in the VM is refused, and the file of before stays", async () => {
  await using daemon = await TestDaemon.start();
  using client = await daemon.connect();
  writeFileSync(join(daemon.workspace, "f"), "before");
  const part = { path: "f", upload_id: "u1", encoding: "utf8" };
  const hash = createHash("sha256").update("abcdef").digest("hex");
  assert.equal((await client.call("file/write", { ...part, offset: 0, data: "abc" })).received_bytes, 3);
  assert.equal((await client.call("file/write", { ...part, offset: 0, data: "abc" })).received_bytes, 3, "asked again");
  const hole = await client.ask({
    jsonrpc: "2.0",
    id: 1,
    method: "file/write",
    params: { ...part, offset: 4, data: "x" },
  });
  assert.deepEqual([hole.error.code, hole.error.data.received_bytes], [1509, 3]);
  const [draft] = readdirSync(daemon.workspace).filter((name) => name.startsWith(".hl-upload-u1"));
  writeFileSync(join(daemon.workspace, draft!), "aXc");
  const last = { ...part, offset: 3, data: "def", final: true, sha256: hash };
  const spoilt = await client.ask({ jsonrpc: "2.0", id: 2, method: "file/write", params: last });
  assert.equal(spoilt.error.code, 1510);
  assert.equal(readFileSync(join(daemon.workspace, "f"), "utf8"), "before");
  await client.call("file/write", { ...part, offset: 0, data: "abc" });
  assert.equal((await client.call("file/write", last)).sha256, hash);
  assert.equal((await client.call("file/write", last)).sha256, hash, "its answer was lost");
  assert.equal(readFileSync(join(daemon.workspace, "f"), "utf8"), "abcdef");
  assert.deepEqual(readdirSync(daemon.workspace), ["f"]);
});

test("every file verb works through the cloud, and tells errors as locally", async () => {
  await using system = await startSystem();
  using folder = temporaryFolder("hl-transfer");
  const source = join(folder.path, "source");
  const sum = makeFile(source, 5);
  const run = async (...args: string[]): Promise<string> => {
    const { code, stdout, stderr } = await system.client(["file", ...args]);
    assert.equal(code, 0, `file ${args.join(" ")}: ${stderr}`);
    return stdout.toString();
  };
  await run("put", source, "up/loaded", "-p");
  assert.equal(hashOf(join(system.daemon.workspace, "up/loaded")), sum);
  await run("get", "up/loaded", join(folder.path, "target"));
  assert.equal(hashOf(join(folder.path, "target")), sum);
  assert.equal(statSync(join(folder.path, "target")).size, 5 * mebibyte);
  mkdirSync(join(system.daemon.workspace, "other"));
  assert.equal(await run("ls", "-R"), "other/\nup/\nup/loaded\n");
  await run("mv", "up/loaded", "other/moved");
  assert.match(await run("stat", "other/moved", "--checksum"), new RegExp(sum));
  assert.equal((await system.client(["file", "cat", "other/moved"])).stdout.length, 5 * mebibyte);
  const watching = spawnProgram("hl-client", ["file", "watch"], {
    env: {
      HL_CLOUD: system.cloud.url,
      HL_INSTANCE: "test-vm-001",
      HL_OPERATOR_TOKEN_FILE: system.cloud.operatorTokenFile,
    },
  });
  let seen = "";
  watching.stdout?.on("data", (chunk: Buffer) => (seen += chunk.toString()));
  let round = 0;
  await until("a change that is told", () => {
    writeFileSync(join(system.daemon.workspace, "news"), String((round += 1)));
    return seen.includes("news");
  });
  watching.kill("SIGINT");
  assert.equal((await collect(watching)).code, 130);
  await run("rm", "other", "-r");
  assert.deepEqual(readdirSync(system.daemon.workspace).sort(), ["news", "up"]);
  const missing = await system.client(["file", "cat", "other/moved"]);
  assert.deepEqual([missing.code, missing.stdout.length], [1, 0]);
  assert.match(missing.stderr, /"other\/moved" does not exist/);
  assert.match((await system.client(["file", "cat", "/etc/shadow"])).stderr, /inside a blocked path/);
});
