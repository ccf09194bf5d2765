/**
 * Goal: the file verbs ask the right thing, print it for people and as JSON, and tell failures of this machine as the user's. Method: hl-client in this
 * process against a scripted daemon that keeps one file in memory; the real daemon, large files and lost connections are in tests/system.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { FakeDaemon, type FakeHandlers } from "./testing/fake-daemon.ts";
import { inProcess, InProcess } from "./testing/in-process.ts";

async function start(t: TestContext, handlers: FakeHandlers): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start(handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

function folder(t: TestContext): string {
  const path = mkdtempSync(join(tmpdir(), "hl-client-files-"));
  t.after(() => rmSync(path, { recursive: true }));
  return path;
}

const sha256 = (bytes: Buffer): string => createHash("sha256").update(bytes).digest("hex");

/** Serves one content, as the VM's file. */
function serving(content: () => Buffer): FakeHandlers {
  return {
    "file/stat": async ({ path }) => ({
      ...{ path: `/ws/${path}`, type: "file", size: content().length, mode: 0o644, mtime: 1 },
      sha256: sha256(content()),
    }),
    "file/read": async ({ path, offset = 0, length }) => {
      const data = content().subarray(offset, length === undefined ? undefined : offset + length);
      return { path, data: data.toString("base64"), encoding: "base64", size: content().length, mtime: 1 };
    },
  };
}

test("ls: names for people, a table with -l, all of it as JSON; names are escaped, and what is missing is said", async (t) => {
  const entry = { type: "file", size: 1536, mode: 0o100644 & 0o777, mtime: 0 } as const;
  const result = {
    path: "/ws",
    entries: [
      { ...entry, path: "evil\x1b[2J" },
      { ...entry, path: "folder", type: "directory" as const, mode: 0o755 },
      { ...entry, path: "link", type: "symlink" as const, target: "else/where" },
    ],
    truncated: true,
    unreadable: ["closed"],
  };
  const daemon = await start(t, { "file/list": async () => result });
  const plain = await inProcess([...daemon.local, "file", "ls", "-R", "-a"]);
  assert.match(plain.stdout, /^evil\S+\nfolder\/\nlink\n$/);
  assert.doesNotMatch(plain.stdout, /\x1b/);
  assert.match(plain.stderr, /closed may not be read[^]*more than these 3/);
  assert.deepEqual(daemon.asked.at(-1)?.params, {
    path: ".",
    depth: 100,
    limit: 10_000,
    include_hidden: true,
    gitignore: false,
  });
  const long = await inProcess([...daemon.local, "file", "ls", "-l"]);
  assert.match(long.stdout, /-rw-r--r-- +1\.5 KiB +1970-01-01 00:00 +evil/);
  assert.match(long.stdout, /drwxr-xr-x +1970.* folder\/\n.*link → else\/where/);
  assert.deepEqual(JSON.parse((await inProcess([...daemon.local, "--json", "file", "ls"])).stdout), result);
});

test("get: checked, in place only when it is whole, with a bar on a terminal; what changes meanwhile is not kept", async (t) => {
  const here = folder(t);
  let content = Buffer.from("x".repeat(700_000));
  const daemon = await start(
    t,
    serving(() => content),
  );
  const target = join(here, "target");
  const quiet = await inProcess([...daemon.local, "file", "get", "f", target]);
  assert.deepEqual(quiet, { code: 0, stdout: "", stderr: "" });
  const shown = await inProcess([...daemon.local, "file", "get", "f", target], { stderrColumns: 80 });
  assert.match(shown.stderr, /\rf █{24} 100 % of 684 KiB, .*\/s\x1b\[K\n$/);
  assert.ok(readFileSync(target).equals(content));
  const fresh = serving(() => content);
  const read = fresh["file/read"];
  daemon.handlers["file/read"] = async (params, call) => {
    content = Buffer.from("y".repeat(700_000));
    return (await read?.(params, call)) as never;
  };
  const changed = await inProcess([...daemon.local, "file", "get", "f", target]);
  assert.equal(changed.code, 1);
  assert.match(changed.stderr, /is not what it was at first/);
  assert.deepEqual(readdirSync(here), ["target"], "no part is left");
  const nowhere = await inProcess([...daemon.local, "file", "get", "f", join(here, "no/such/target")]);
  assert.equal(nowhere.code, 66);
  assert.match(nowhere.stderr, /ENOENT/);
});

test("put: what is no file here is told before anything is sent; the name of the upload is the same for the same content", async (t) => {
  const here = folder(t);
  const source = join(here, "source");
  writeFileSync(source, "content", { mode: 0o640 });
  const daemon = await start(t, {
    "file/write": async ({ path, offset = 0, data, final, encoding }) => {
      const size = offset + Buffer.from(data, encoding).length;
      return { path: `/ws/${path}`, size, ...(final ? {} : { received_bytes: size }) };
    },
  });
  for (const wrong of [here, join(here, "missing")]) {
    assert.equal((await inProcess([...daemon.local, "file", "put", wrong])).code, 66);
  }
  assert.equal(daemon.countOf("file/write"), 0);
  const said = await inProcess([...daemon.local, "--json", "file", "put", source]);
  assert.deepEqual(JSON.parse(said.stdout), { path: "/ws/source", size: 7, sha256: sha256(Buffer.from("content")) });
  await inProcess([...daemon.local, "file", "put", source]);
  const asked = daemon.asked
    .filter(({ method }) => method === "file/write")
    .map(({ params }) => params as Record<string, unknown>);
  assert.equal(new Set(asked.map(({ upload_id }) => upload_id)).size, 1);
  assert.deepEqual([asked[2]?.["final"], asked[2]?.["mode"]], [true, 0o640]);
});

test("cat, stat, mv, rm, mkdir: quiet when all is well, and errors in two lines", async (t) => {
  const daemon = await start(t, {
    ...serving(() => Buffer.from([0, 255, 10])),
    "file/move": async ({ from, to }) => ({ from, to }),
    "file/remove": async () => {
      throw new HlError("directory_not_empty", '"d" is a folder that is not empty', { path: "d" });
    },
    "file/mkdir": async ({ path }) => ({ path, created: true }),
  });
  assert.equal((await inProcess([...daemon.local, "file", "cat", "f"])).stdout, "\0\ufffd\n");
  assert.match((await inProcess([...daemon.local, "file", "stat", "f"])).stdout, /size +3 B \(3\)\n.*mode +-rw-r--r--/);
  assert.equal((await inProcess([...daemon.local, "file", "mv", "-f", "a", "b"])).stdout, "");
  assert.deepEqual(daemon.asked.at(-1)?.params, { from: "a", to: "b", overwrite: true });
  assert.equal((await inProcess([...daemon.local, "file", "mkdir", "-p", "d"])).code, 0);
  const refused = await inProcess([...daemon.local, "file", "rm", "d"]);
  assert.equal(refused.code, 1);
  assert.match(refused.stderr, /hl-client: "d" is a folder that is not empty\n {2}Ask with recursive/);
});

test("S2: watch prints changes, and a gap as such, also the one that a lost connection is", async (t) => {
  const daemon = await start(t, {
    "file/watch": async (_params, call) => {
      call.stream(async (signal) => {
        const changes = [{ path: "a\nb", type: "created" as const }];
        await call.notify("file/changed", { watch_id: "w", changes });
        await call.notify("file/changed", { watch_id: "w", changes: [], gap: true });
        await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      });
      return { watch_id: "w", path: "/ws" };
    },
  });
  const client = new InProcess([...daemon.local, "file", "watch", "--exclude", "dist"]);
  await client.until(() => client.stderr.includes("not seen"));
  assert.match(client.stdout, /^created {2}a\S+b\n$/);
  assert.deepEqual(daemon.asked.at(-1)?.params, { path: ".", recursive: true, exclude: ["dist"] });
  client.stderr = "";
  daemon.cutConnections();
  await client.until(() => client.stderr.split("not seen").length === 3);
  client.interrupt();
  assert.equal(await client.exitCode, 130);
});
