/**
 * Goal: file/* through the real daemon, hl-runner and hl-workspace: bytes come back as they went, a file is old or new and never half, nothing
 * outside the allowed paths is touched whoever plays with links, and hl-workspace is there when it is needed and gone when it is not.
 * Method: real files and real processes; kill -9 where a crash is meant; events and processes are awaited.
 */
import assert from "node:assert/strict";
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { isRunning, processesOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon, type DaemonOptions } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const sha256 = (data: string | Uint8Array): string => createHash("sha256").update(data).digest("hex");

/** A caller's error code, and what came with it. */
async function failure(promise: Promise<unknown>): Promise<{ code: number; data: Message; message: string }> {
  const error = await promise.then(
    (result) => assert.fail(`answered ${JSON.stringify(result)}`),
    (reason: unknown) => reason,
  );
  assert.ok(error instanceof CallFailed, String(error));
  return { code: error.error.code, data: error.error.data, message: error.error.message };
}

const pathOf = (entry: Message): string => entry.path;

function workspacesOf(daemon: TestDaemon): number[] {
  return processesOf(daemon.home)
    .filter(({ commandLine }) => /^hl-workspace /.test(commandLine))
    .map(({ pid }) => pid);
}

async function theWorkspace(daemon: TestDaemon): Promise<number> {
  return until("one hl-workspace", () => {
    const found = workspacesOf(daemon);
    return found.length === 1 ? found[0] : undefined;
  });
}

/** Where both hold: with the kernel's sandbox, and with the judgement of hl-workspace alone. */
const sandboxes: [name: string, options: DaemonOptions][] = [
  ["in the sandbox", {}],
  ["with sandbox_mode off", { config: { security: { sandbox_mode: false } } }],
];

describe("content", () => {
  test("P6: bytes come back as they went: NUL, invalid UTF-8, every byte there is, nothing at all", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const contents = {
      nothing: Buffer.alloc(0),
      text: Buffer.from("Grüße\n\u0000\u2028"),
      invalid: Buffer.from([0xc3, 0x28, 0xff, 0x00]),
      every: Buffer.from(Array.from({ length: 256 }, (_, byte) => byte)),
      megabyte: randomBytes(1_048_576),
    };
    for (const [name, bytes] of Object.entries(contents)) {
      const written = await client.call("file/write", {
        path: name,
        data: bytes.toString("base64"),
        encoding: "base64",
      });
      assert.deepEqual([written.size, written.sha256], [bytes.length, sha256(bytes)]);
      assert.ok(readFileSync(join(daemon.workspace, name)).equals(bytes), name);
      const read = await client.call("file/read", { path: name });
      assert.ok(Buffer.from(read.data, read.encoding).equals(bytes), name);
      assert.deepEqual([read.size, read.sha256], [bytes.length, sha256(bytes)]);
    }
    assert.equal((await client.call("file/read", { path: "text" })).encoding, "utf8");
    assert.equal((await client.call("file/read", { path: "text", encoding: "base64" })).encoding, "base64");
    assert.equal((await client.call("file/read", { path: "invalid", encoding: "utf8" })).encoding, "base64");
  });

  test("a file over 1 MiB is read in ranges, and says so", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const bytes = randomBytes(1_048_577);
    writeFileSync(join(daemon.workspace, "large"), bytes);
    const { code, data } = await failure(client.call("file/read", { path: "large" }));
    assert.deepEqual([code, data.size], [1503, bytes.length]);
    assert.match(data.help, /ranges/);
    const first = await client.call("file/read", { path: "large", offset: 0 });
    const second = await client.call("file/read", { path: "large", offset: 1_048_576, length: 10 });
    assert.ok(Buffer.concat([first, second].map((part) => Buffer.from(part.data, part.encoding))).equals(bytes));
    assert.equal(first.sha256, undefined, "of a part there is no checksum of the whole");
    assert.equal((await client.call("file/stat", { path: "large", checksum: true })).sha256, sha256(bytes));
    assert.equal((await client.call("file/read", { path: "large", offset: 2_000_000 })).data, "");
  });

  test("a replaced file keeps its mode, a new one gets the mode that is asked for, and parents are made", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const path = join(daemon.workspace, "script");
    writeFileSync(path, "old");
    chmodSync(path, 0o751);
    await client.call("file/write", { path: "script", data: "new" });
    assert.equal(statSync(path).mode & 0o7777, 0o751);
    await client.call("file/write", { path: "deep/er/secret", data: "s", mode: 0o600, create_parents: true });
    assert.equal(statSync(join(daemon.workspace, "deep/er/secret")).mode & 0o7777, 0o600);
    assert.equal((await failure(client.call("file/write", { path: "no/such/folder", data: "" }))).code, 1501);
    assert.equal((await failure(client.call("file/write", { path: "deep", data: "" }))).code, 1507);
    assert.equal((await failure(client.call("file/read", { path: "script/x" }))).code, 1504);
  });

  test("conflicts by hash: only what the caller knows is replaced, of two one wins, and a repeated call is no conflict", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const write = (data: string, expected_sha256?: string): Promise<Message> =>
      client.call("file/write", { path: "f", data, ...(expected_sha256 === undefined ? {} : { expected_sha256 }) });
    await write("one", "");
    await write("one", ""); // The answer was lost, and the caller asks again.
    assert.equal((await failure(write("two", ""))).code, 1502);
    const changed = await failure(write("two", sha256("other")));
    assert.deepEqual([changed.code, changed.data.sha256], [1506, sha256("one")]);
    await write("two", sha256("one"));
    await write("two", sha256("one"));
    const both = await Promise.allSettled([write("three", sha256("two")), write("four", sha256("two"))]);
    assert.deepEqual(both.map(({ status }) => status).sort(), ["fulfilled", "rejected"]);
    assert.deepEqual(readdirSync(daemon.workspace), ["f"], "nothing is left beside it");
  });

  test("list: depth, hidden names, .gitignore, limits, names that are no text", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    for (const path of [
      "src/deep/a.ts",
      "src/b.ts",
      "out/c.js",
      "node_modules/m/i.js",
      ".hidden",
      "keep.log",
      "x.log",
    ]) {
      mkdirSync(dirname(join(daemon.workspace, path)), { recursive: true });
      writeFileSync(join(daemon.workspace, path), path);
    }
    mkdirSync(join(daemon.workspace, ".git"));
    writeFileSync(join(daemon.workspace, ".gitignore"), "node_modules\n/out/\n*.log\n!keep.log\n");
    writeFileSync(join(daemon.workspace, "src/.gitignore"), "deep\n");
    symlinkSync("/etc", join(daemon.workspace, "link"));
    writeFileSync(Buffer.concat([Buffer.from(`${daemon.workspace}/bad-`), Buffer.from([0xff])]), "");
    const paths = async (params: object): Promise<string[]> =>
      (await client.call("file/list", params)).entries.map((entry: Message) => entry.path).sort();
    assert.deepEqual(await paths({ depth: 9, gitignore: true, include_hidden: false }), [
      "bad-\ufffd",
      "keep.log",
      "link",
      "src",
      "src/b.ts",
    ]);
    assert.deepEqual(await paths({ path: "src", depth: 9, gitignore: true }), [".gitignore", "b.ts"]);
    assert.ok((await paths({ depth: 9 })).includes("node_modules/m/i.js"));
    assert.ok(!(await paths({ depth: 9 })).some((path) => path.startsWith("link/")), "links are not followed");
    const { entries, truncated } = await client.call("file/list", { depth: 9, limit: 3 });
    assert.deepEqual([entries.length, truncated], [3, true]);
    const all = await client.call("file/list", {});
    const bad = all.entries.find((entry: Message) => entry.path_base64 !== undefined);
    assert.ok(Buffer.from(bad.path_base64, "base64").equals(Buffer.from([...Buffer.from("bad-"), 0xff])));
    const link = all.entries.find((entry: Message) => entry.path === "link");
    assert.deepEqual([link.type, link.target], ["symlink", "/etc"]);
  });

  test("mkdir, move and remove do what they say and nothing beside", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    assert.equal((await client.call("file/mkdir", { path: "a" })).created, true);
    assert.equal((await failure(client.call("file/mkdir", { path: "a" }))).code, 1502);
    assert.equal((await client.call("file/mkdir", { path: "a", parents: true })).created, false);
    await client.call("file/write", { path: "a/f", data: "f" });
    await client.call("file/write", { path: "g", data: "g" });
    assert.equal((await failure(client.call("file/move", { from: "g", to: "a/f" }))).code, 1502);
    await client.call("file/move", { from: "g", to: "a/f", overwrite: true });
    assert.equal(readFileSync(join(daemon.workspace, "a/f"), "utf8"), "g");
    await client.call("file/move", { from: "a", to: "b" });
    assert.equal((await failure(client.call("file/move", { from: "b", to: "b/inside" }))).code, -32602);
    assert.equal((await failure(client.call("file/remove", { path: "b" }))).code, 1508);
    assert.equal((await client.call("file/remove", { path: "b", recursive: true })).removed, 2);
    assert.equal((await failure(client.call("file/remove", { path: "b" }))).code, 1501);
  });
});

for (const [name, options] of sandboxes) {
  describe(`X1: paths, ${name}`, () => {
    test("X1: nothing outside the allowed paths, nothing blocked, and nothing of the daemon's own is touched", async () => {
      await using daemon = await TestDaemon.start(options);
      using client = await daemon.connect();
      using outside = temporaryFolder("hl-outside");
      writeFileSync(join(outside.path, "secret"), "secret");
      const link = (target: string, path: string): void => symlinkSync(target, join(daemon.workspace, path));
      link(outside.path, "folder-link");
      link(join(outside.path, "secret"), "file-link");
      link("/etc/shadow", "shadow-link");
      link("../data/auth/local_token", "token-link");
      link(join(outside.path, "not-there"), "dangling");
      const forbidden = [
        ...["/etc/shadow", "/etc/hosts", "/", "..", "../..", "../config/daemon.json", "a/../../config/daemon.json"],
        ...["../data/auth/local_token", "../data/state/daemon.db", "../logs/daemon.log", "../data/runner"],
        ...["folder-link", "folder-link/secret", "folder-link/new", "file-link", "shadow-link", "token-link"],
        ...[
          join(outside.path, "secret"),
          "/proc/self/environ",
          `/proc/${daemon.pid}/environ`,
          "/proc/self/root/etc/shadow",
        ],
      ];
      for (const path of forbidden) {
        assert.equal((await failure(client.call("file/read", { path }))).code, 1103, path);
        assert.equal((await failure(client.call("file/write", { path, data: "x" }))).code, 1103, path);
        assert.equal((await failure(client.call("file/list", { path }))).code, 1103, path);
        assert.equal((await failure(client.call("file/watch", { path }))).code, 1103, path);
        if (path.endsWith("-link")) continue; // The links themselves are ours.
        assert.equal((await failure(client.call("file/stat", { path }))).code, 1103, path);
        assert.equal((await failure(client.call("file/move", { from: path, to: "here" }))).code, 1103, path);
        assert.equal((await failure(client.call("file/move", { from: "dangling", to: path }))).code, 1103, path);
        assert.equal((await failure(client.call("file/mkdir", { path, parents: true }))).code, 1103, path);
        assert.equal((await failure(client.call("file/remove", { path, recursive: true }))).code, 1103, path);
      }
      await client.call("file/write", { path: "dangling", data: "inside" });
      assert.deepEqual(readdirSync(outside.path), ["secret"]);
      assert.equal(readFileSync(join(outside.path, "secret"), "utf8"), "secret");
      assert.equal((await client.call("file/stat", { path: "shadow-link" })).target, "/etc/shadow");
      await client.call("file/remove", { path: "folder-link", recursive: true });
      assert.equal(existsSync(join(outside.path, "secret")), true, "a link is removed, and not what it leads to");
    });

    test("X1: a blocked path inside an allowed one is not read, listed, moved along or removed with its folder", async () => {
      using folder = temporaryFolder("hl-access");
      const allowed = join(folder.path, "allowed");
      mkdirSync(join(allowed, "inner/blocked"), { recursive: true });
      mkdirSync(join(allowed, "beside"));
      writeFileSync(join(allowed, "inner/blocked/secret"), "secret");
      const file_access = { allowed_paths: [allowed], blocked_paths: [join(allowed, "inner/blocked")] };
      await using daemon = await TestDaemon.start({
        config: { security: { ...options.config?.["security"], file_access } },
      });
      using client = await daemon.connect();
      for (const path of ["inner/blocked", "inner/blocked/secret", "inner/../inner/blocked/new"]) {
        assert.equal((await failure(client.call("file/read", { path }))).code, 1103, path);
        assert.equal((await failure(client.call("file/write", { path, data: "" }))).code, 1103, path);
      }
      assert.equal((await failure(client.call("file/move", { from: "inner", to: "elsewhere" }))).code, 1103);
      assert.equal((await failure(client.call("file/remove", { path: "inner", recursive: true }))).code, 1103);
      // Landlock knows no exception below a folder: there what holds a blocked path cannot be listed at all.
      if (options.config === undefined)
        assert.equal((await failure(client.call("file/list", { depth: 9 }))).code, 1103);
      else assert.deepEqual((await client.call("file/list", { depth: 9 })).entries.map(pathOf), ["beside", "inner"]);
      await client.call("file/write", { path: "beside/new", data: "new" });
      assert.deepEqual((await client.call("file/list", { path: "beside" })).entries.map(pathOf), ["new"]);
      assert.equal(readFileSync(join(allowed, "inner/blocked/secret"), "utf8"), "secret");
    });

    test("X1: a folder that is swapped for a link during thousands of writes and removals never leads outside", async () => {
      await using daemon = await TestDaemon.start(options);
      using client = await daemon.connect();
      using outside = temporaryFolder("hl-outside");
      writeFileSync(join(outside.path, "f"), "outside");
      const place = join(daemon.workspace, "swapped");
      const aside = join(daemon.workspace, "aside");
      mkdirSync(place);
      const outcomes = { written: 0, refused: 0 };
      let swaps = 0;
      let isOver = false;
      const swapper = (async () => {
        while (!isOver) {
          renameSync(place, aside);
          symlinkSync(outside.path, place);
          await new Promise((resolve) => setImmediate(resolve));
          unlinkSync(place);
          renameSync(aside, place);
          await new Promise((resolve) => setImmediate(resolve));
          swaps += 1;
        }
      })();
      const attempt = async (method: string, params: object): Promise<void> => {
        try {
          await client.call(method, params);
          outcomes.written += 1;
        } catch (error) {
          assert.ok(error instanceof CallFailed);
          // Refused, or the folder was on its way from one name to the other; never a failure of ours.
          assert.ok([1103, 1501, 1502, 1504].includes(error.error.code), error.message);
          outcomes.refused += 1;
        }
      };
      for (let round = 0; round < 500; round += 1) {
        await Promise.all([
          attempt("file/write", { path: "swapped/f", data: "inside" }),
          attempt("file/write", { path: "swapped/g", data: "inside" }),
          attempt("file/mkdir", { path: "swapped/h" }),
          attempt("file/remove", { path: "swapped/f", recursive: true }),
        ]);
      }
      isOver = true;
      await swapper;
      assert.deepEqual(readdirSync(outside.path), ["f"]);
      assert.equal(readFileSync(join(outside.path, "f"), "utf8"), "outside");
      assert.ok(swaps > 100 && outcomes.written > 0 && outcomes.refused > 0, JSON.stringify({ swaps, ...outcomes }));
    });
  });
}

describe("the life of hl-workspace", () => {
  test("it is started by the first call, once for many at a time, stopped when idle, and started again", async () => {
    await using daemon = await TestDaemon.start({ config: { process_management: { workspace_idle_seconds: 0.5 } } });
    using client = await daemon.connect();
    assert.deepEqual(workspacesOf(daemon), []);
    // The watch keeps it there while it is looked for.
    const [{ watch_id }] = await Promise.all([
      client.call("file/watch", {}),
      ...Array.from({ length: 19 }, () => client.call("file/list")),
    ]);
    const first = await theWorkspace(daemon);
    await client.call("file/unwatch", { watch_id });
    await until("it is idle and gone", () => workspacesOf(daemon).length === 0);
    await client.call("file/watch", {});
    assert.notEqual(await theWorkspace(daemon), first);
    assert.deepEqual((await client.call("command/list")).commands, [], "it is no command");
    const runs = join(daemon.home, "data/runner");
    await until(
      "its log has gone",
      () => readdirSync(runs).filter((name) => name.startsWith("workspace_")).length <= 1,
    );
  });

  test("A1: killed in the middle of calls it fails each of them with a reason, and the next call works", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    writeFileSync(join(daemon.workspace, "sparse"), "");
    const { truncateSync } = await import("node:fs");
    truncateSync(join(daemon.workspace, "sparse"), 64 * 1024 ** 3); // Its checksum takes minutes.
    await client.call("file/list");
    const pid = await theWorkspace(daemon);
    const calls = Array.from({ length: 10 }, () =>
      failure(client.call("file/stat", { path: "sparse", checksum: true })),
    );
    await client.call("system/ping"); // The calls before it have arrived.
    process.kill(pid, "SIGKILL");
    const ends = await Promise.race([Promise.all(calls.slice(0, 4))]);
    for (const { code, data, message } of ends) {
      assert.deepEqual([code, data.error_type, data.retry], [1511, "workspace_lost", "backoff"]);
      assert.match(message, /signal 9/);
    }
    using other = await daemon.connect();
    rmSync(join(daemon.workspace, "sparse"));
    const next = await theWorkspace(daemon);
    assert.notEqual(next, pid);
    process.kill(next, "SIGKILL"); // Those that waited and are now in flight.
    await Promise.all(calls.slice(4));
    // Where nothing was in flight any more, the loss is noticed with this one, which may be asked again: `retry`.
    const again = async (): Promise<Message> =>
      other.call("file/list").catch((error: unknown) => {
        if (error instanceof CallFailed && error.error.data.error_type === "workspace_lost") return undefined;
        throw error;
      });
    assert.equal((await until("a hl-workspace that answers", again)).truncated, false);
  });

  test("a file is old or new when hl-workspace is killed -9 while it is written, and what is left beside it does not gather", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    const path = join(daemon.workspace, "f");
    const contents = ["a", "b"].map((letter) => letter.repeat(4_000_000));
    await client.call("file/write", { path: "f", data: contents[0] });
    for (let round = 0; round < 6; round += 1) {
      const writes = Array.from({ length: 6 }, (_, index) =>
        client.call("file/write", { path: "f", data: contents[(round + index) % 2] }).catch((error: unknown) => error),
      );
      const pid = await theWorkspace(daemon);
      await writes[round % 4]; // In the middle of another one.
      process.kill(pid, "SIGKILL");
      await Promise.all(writes);
      assert.ok(contents.includes(readFileSync(path, "utf8")), "neither the one nor the other");
    }
    await client.call("file/write", { path: "f", data: "last" });
    assert.deepEqual(readdirSync(daemon.workspace), ["f"]);
  });

  test("P1: the end of the daemon, in order or by kill -9, leaves no hl-workspace behind the next start", async () => {
    await using daemon = await TestDaemon.start();
    const use = async (): Promise<{ client: MessageClient; pid: number }> => {
      const client = await daemon.connect();
      await client.call("file/watch", {});
      return { client, pid: await theWorkspace(daemon) };
    };
    const first = await use();
    await daemon.restart();
    assert.equal(isRunning(first.pid), false, "an orderly stop ends it");
    const second = await use();
    await daemon.kill();
    await daemon.restart();
    await until("that of the killed daemon is gone", () => !isRunning(second.pid));
    const third = await use();
    assert.deepEqual(workspacesOf(daemon), [third.pid]);
  });
});

describe("watch", () => {
  /** All changes until one of this path, as lines. */
  async function changesUntil(client: MessageClient, path: string): Promise<string[]> {
    const lines: string[] = [];
    for (;;) {
      const { params } = await client.next((message) => message.method === "file/changed");
      if (params.gap === true) lines.push("gap");
      for (const change of params.changes) lines.push(`${change.type} ${change.path}`);
      if (lines.some((line) => line.endsWith(` ${path}`))) return lines;
    }
  }

  test("changes of a tree with node_modules are told, together, to the one who asked, until file/unwatch", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    using other = await daemon.connect();
    mkdirSync(join(daemon.workspace, "node_modules/m"), { recursive: true });
    const { watch_id } = await client.call("file/watch", {});
    for (let index = 0; index < 200; index += 1) writeFileSync(join(daemon.workspace, `node_modules/m/${index}`), "");
    await other.call("file/write", { path: "new", data: "1" });
    assert.deepEqual(await changesUntil(client, "new"), ["created new"]);
    await other.call("file/write", { path: "new", data: "2" });
    assert.deepEqual(await changesUntil(client, "new"), ["modified new"]);
    await other.call("file/remove", { path: "new" });
    assert.deepEqual(await changesUntil(client, "new"), ["deleted new"]);
    assert.deepEqual(await other.call("file/unwatch", { watch_id }), { watch_id, ended: true });
    assert.deepEqual(await other.call("file/unwatch", { watch_id }), { watch_id, ended: false });
    const http = await daemon.post({ jsonrpc: "2.0", id: 1, method: "file/watch", params: {} });
    assert.match(http.error.message, /no notifications/);
  });

  test("S2: a watch outlives hl-workspace with a gap, and keeps it there as long as its caller is", async () => {
    await using daemon = await TestDaemon.start({ config: { process_management: { workspace_idle_seconds: 0.3 } } });
    const client = await daemon.connect();
    await client.call("file/watch", {});
    const pid = await theWorkspace(daemon);
    process.kill(pid, "SIGKILL");
    const { params } = await client.next((message) => message.method === "file/changed");
    assert.deepEqual([params.changes, params.gap], [[], true]);
    writeFileSync(join(daemon.workspace, "f"), "");
    assert.deepEqual(await changesUntil(client, "f"), ["created f"]);
    assert.notEqual(await theWorkspace(daemon), pid);
    client[Symbol.dispose]();
    await until("nobody watches, and it is gone", () => workspacesOf(daemon).length === 0);
  });

  test("changes below a configured folder are events, also of one that comes later, and over a loss of hl-workspace", async () => {
    const event_streaming = { file_change_paths: ["workspace/later"], flush_interval: 0.05 };
    await using daemon = await TestDaemon.start({ config: { event_streaming } });
    using client = await daemon.connect();
    await client.call("event/subscribe", { types: ["file_change"], after: 0 });
    const told = async (wanted: (data: Message) => boolean): Promise<void> => {
      await client.next(({ params }) => params?.event_type === "file_change" && wanted(params.data));
    };
    mkdirSync(join(daemon.workspace, "later"));
    await told(({ gap }) => gap === true); // What came before it was watched is not known.
    writeFileSync(join(daemon.workspace, "later/f"), "");
    await told(({ changes }) => changes.some(({ path, type }: Message) => path === "f" && type === "created"));
    process.kill(await theWorkspace(daemon), "SIGKILL");
    await told(({ gap }) => gap === true);
    unlinkSync(join(daemon.workspace, "later/f"));
    await told(({ changes }) => changes.some(({ path, type }: Message) => path === "f" && type === "deleted"));
  });

  test("S2: events that the kernel dropped while hl-workspace was held up are a gap", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await client.call("file/watch", {});
    const pid = await theWorkspace(daemon);
    const queued = Number(readFileSync("/proc/sys/fs/inotify/max_queued_events", "utf8"));
    process.kill(pid, "SIGSTOP");
    try {
      for (let index = 0; index <= queued / 2; index += 1) {
        const path = join(daemon.workspace, `f${index}`);
        writeFileSync(path, "");
        unlinkSync(path);
      }
    } finally {
      process.kill(pid, "SIGCONT");
    }
    const { params } = await client.next((message) => message.method === "file/changed");
    assert.equal(params.gap, true);
    writeFileSync(join(daemon.workspace, "after"), "");
    assert.ok((await changesUntil(client, "after")).includes("created after"));
  });
});
