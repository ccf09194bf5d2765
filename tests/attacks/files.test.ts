/**
 * Goal: X1: the file methods reach what commands reach and nothing else, whatever path they are given and whatever a command does to that path meanwhile.
 * Method: a real daemon with its hl-workspace; hostile paths through the interface, and a sandboxed command that swaps links under writes (files.test.ts of the system tests has thousands).
 */
import assert from "node:assert/strict";
import { existsSync, linkSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";

let daemon: TestDaemon;
let client: MessageClient;
let outside: ReturnType<typeof temporaryFolder>;

before(async () => {
  outside = temporaryFolder("hl-outside");
  daemon = await TestDaemon.start({ config: { process_management: { allowed_commands: ["python3", "sh"] } } });
  client = await daemon.connect();
  writeFileSync(join(outside.path, "secret"), "secret");
});

after(async () => {
  client[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
  outside[Symbol.dispose]();
});

const work = (...parts: string[]): string => join(daemon.workspace, ...parts);

/** Paths that lead out of the workspace, each in its own way. */
function hostilePaths(): Record<string, string> {
  const up = "../".repeat(20);
  for (const [name, target] of [
    ["link-to-folder", outside.path],
    ["link-to-file", join(outside.path, "secret")],
    ["link-to-root", "/"],
    ["link-to-nothing", join(outside.path, "not-there")],
    ["link-to-parent", ".."],
  ] as const) {
    if (!existsSync(work(name)) && !readdirSync(daemon.workspace).includes(name)) symlinkSync(target, work(name));
  }
  return {
    "an absolute path": "/etc/shadow",
    "a stranger's file": join(outside.path, "secret"),
    "steps up": `${up}etc/shadow`,
    "steps up from the workspace": join(daemon.workspace, `${up}etc/shadow`),
    "steps up behind a folder that is not there": `not-there/${up}etc/shadow`,
    "doubled slashes": "//etc//shadow",
    "a link to a folder": "link-to-folder/secret",
    "a link to a file": "link-to-file",
    "a link to the root": "link-to-root/etc/shadow",
    "a link to nothing": "link-to-nothing",
    "a link to the parent": "link-to-parent/data/auth/local_token",
    "the root of a process": "/proc/self/root/etc/shadow",
    "the working directory of a process": "/proc/self/cwd/../data/auth/local_token",
    "the environment of the daemon": `/proc/${daemon.pid}/environ`,
    "the memory of a process": "/proc/self/mem",
    "a descriptor": "/dev/fd/0",
    "a descriptor by its process": "/proc/self/fd/0",
    "a device": "/dev/mem",
    "the local token": join(daemon.home, "data/auth/local_token"),
    "the database": join(daemon.home, "data/state/daemon.db"),
    "the configuration": join(daemon.home, "config/daemon.json"),
    "the log": join(daemon.home, "logs/daemon.log"),
  };
}

/** Each method with the path in each of its places. */
const methods: Record<string, (path: string) => readonly [method: string, params: object]> = {
  "file/read": (path) => ["file/read", { path }],
  "file/read, a range": (path) => ["file/read", { path, offset: 0, length: 10 }],
  "file/list": (path) => ["file/list", { path }],
  "file/stat": (path) => ["file/stat", { path }],
  "file/write": (path) => ["file/write", { path, data: "attacked" }],
  "file/write below it": (path) => ["file/write", { path: `${path}/below`, data: "attacked", create_parents: true }],
  "file/mkdir": (path) => ["file/mkdir", { path: `${path}-made` }],
  "file/move from": (path) => ["file/move", { from: path, to: "stolen" }],
  "file/move to": (path) => ["file/move", { from: "own", to: path }],
  "file/remove": (path) => ["file/remove", { path, recursive: true }],
  "file/watch": (path) => ["file/watch", { path }],
};

/** A link may be looked at, moved and removed itself; that follows it nowhere. Making its neighbour is no escape either. */
const isItself = (what: string, method: string): boolean =>
  (/^a link to (a file|nothing)$/.test(what) && /^file\/(stat|move from|remove|mkdir|move to|write)$/.test(method)) ||
  (what === "a link to a file" && method === "file/mkdir");

async function outcome(method: string, params: object): Promise<Message> {
  try {
    return { answer: await client.call(method, params) };
  } catch (error) {
    if (error instanceof CallFailed) return { code: error.error.code, message: error.message };
    throw error;
  }
}

describe("attacks on files", () => {
  test("X1: every hostile path is refused by every method, and nothing outside has changed", async (context) => {
    const before = readFileSync(join(outside.path, "secret"), "utf8");
    const wrong: string[] = [];
    let refused = 0;
    for (const name of Object.keys(methods)) {
      for (const [what, path] of Object.entries(hostilePaths())) {
        writeFileSync(work("own"), "own");
        const [method, params] = methods[name]!(path);
        const { code, answer, message } = await outcome(method, params);
        if (code === 1103) refused += 1;
        else if (what === "a link to nothing" && code === 1504)
          continue; // It is no folder, and is not followed.
        else if (!isItself(what, name)) wrong.push(`${name} ${what}: ${String(message ?? JSON.stringify(answer))}`);
      }
    }
    context.diagnostic(`${refused} combinations of method and path refused with 1103`);
    assert.deepEqual(wrong, []);
    assert.deepEqual(readdirSync(outside.path), ["secret"]);
    assert.equal(readFileSync(join(outside.path, "secret"), "utf8"), before);
    // What was moved is at most the link itself, and that leads nowhere.
    assert.notEqual((await outcome("file/read", { path: "stolen" })).answer?.data, before);
  });

  test("X1: a command that swaps a folder for a link under hundreds of writes and reads gets nothing in or out", async () => {
    mkdirSync(work("swap"));
    mkdirSync(work("real"));
    symlinkSync(outside.path, work("link"));
    const script = [
      "import os, sys",
      "print('ready', flush=True)",
      "while True:",
      "    os.rename('swap', 'real-kept'); os.rename('link', 'swap')",
      "    os.rename('swap', 'link'); os.rename('real-kept', 'swap')",
    ].join("\n");
    await client.call("command/execute", {
      command_id: "swapping",
      command: "/usr/bin/python3",
      args: ["-c", script],
      stream_output: true,
    });
    let written = 0;
    const attempt = async (): Promise<void> => {
      const { answer } = await outcome("file/write", { path: "swap/planted", data: "attacked", create_parents: true });
      if (answer !== undefined) written += 1;
      const { answer: read } = await outcome("file/read", { path: "swap/secret" });
      assert.equal(read, undefined, "the secret was read");
    };
    for (let round = 0; round < 60; round++) await Promise.all(Array.from({ length: 8 }, attempt));
    await client.call("command/cancel", { command_id: "swapping", grace: 0 });
    assert.deepEqual(readdirSync(outside.path), ["secret"]);
    assert.ok(written > 0, "no write has met the folder: the race was none");
  });

  test("X1: what a link inside leads to inside is served, and a hard link to a file outside cannot be made", async () => {
    writeFileSync(work("inner"), "inner");
    symlinkSync("inner", work("alias"));
    assert.equal((await client.call("file/read", { path: "alias" })).data, "inner");
    // Whoever can make one without a sandbox has given the file away; a sandboxed command cannot.
    const made = await client.call("command/execute", {
      command_id: "hard-link",
      command: "/usr/bin/python3",
      args: ["-c", `import os; os.link(${JSON.stringify(join(outside.path, "secret"))}, 'hard')`],
    });
    assert.notEqual(made.exit_code, 0);
    linkSync(work("inner"), work("second-name"));
    assert.equal((await client.call("file/read", { path: "second-name" })).data, "inner");
  });
});
