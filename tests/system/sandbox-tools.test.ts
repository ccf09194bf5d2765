/**
 * Goal: the sandbox that is on by default is one that developers' tools live in. Method: real git, npm, python3, cc and node do real work in the
 * workspace of a real daemon with the shipped rules; only the lists of programs are widened.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { TestDaemon } from "@hl/testkit/system.ts";

let daemon: TestDaemon;
let client: MessageClient;
let number = 0;

before(async () => {
  const process_management = { allowed_commands: ["*"] };
  // The Node of the lock file lies in the checkout, which nobody in the sandbox may read by default.
  const sandbox = { read_only_paths: [dirname(dirname(process.execPath))] };
  daemon = await TestDaemon.start({ config: { process_management, security: { sandbox } } });
  client = await daemon.connect();
});

after(async () => {
  client[Symbol.dispose]();
  await daemon[Symbol.asyncDispose]();
});

async function run(command: string, args: readonly string[], more: object = {}): Promise<string> {
  const command_id = `tool-${++number}`;
  const params = { command_id, command, args, timeout: 120, ...more };
  const result: Message = await client.call("command/execute", params, 150_000);
  assert.equal(result.exit_code, 0, `${command} ${args.join(" ")}: ${result.stdout}${result.stderr}`);
  return result.stdout as string;
}

const at = (...parts: string[]): string => join(daemon.workspace, ...parts);

function put(path: string, text: string): void {
  mkdirSync(dirname(at(path)), { recursive: true });
  writeFileSync(at(path), text);
}

const has = (program: string): boolean => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], {
      stdio: "ignore",
      env: { PATH: "/usr/local/bin:/usr/bin:/bin" },
    });
    return true;
  } catch {
    return false;
  }
};

const needs = (...programs: string[]): { skip: string | false } => {
  const missing = programs.filter((program) => !has(program));
  return { skip: missing.length > 0 ? `NOT TRIED, missing here: ${missing.join(", ")}` : false };
};

describe("tools in the default sandbox", () => {
  test("git makes, commits and clones a repository", needs("git"), async () => {
    await run("git", ["init", "-q", "-b", "main", "origin"]);
    put("origin/file", "content\n");
    const who = ["-c", "user.name=Tester", "-c", "user.email=tester@example.invalid"];
    await run("git", ["-C", "origin", "add", "file"]);
    await run("git", ["-C", "origin", ...who, "commit", "-q", "-m", "first"]);
    await run("git", ["clone", "-q", at("origin"), "clone"]);
    assert.equal(readFileSync(at("clone/file"), "utf8"), "content\n");
    assert.match(await run("git", ["-C", "clone", "log", "--oneline"]), /first/);
  });

  test("npm installs a small tree of packages and runs a script", needs("npm"), async () => {
    put("leaf/package.json", JSON.stringify({ name: "leaf", version: "1.0.0", main: "index.js" }));
    put("leaf/index.js", "module.exports = 'leaf';\n");
    put(
      "branch/package.json",
      JSON.stringify({ name: "branch", version: "1.0.0", main: "index.js", dependencies: { leaf: "file:../leaf" } }),
    );
    put("branch/index.js", "module.exports = 'branch of ' + require('leaf');\n");
    const scripts = {
      postinstall: "node -e \"require('fs').writeFileSync('installed', '')\"",
      say: "node -p \"require('branch')\"",
    };
    put(
      "app/package.json",
      JSON.stringify({ name: "app", version: "1.0.0", scripts, dependencies: { branch: "file:../branch" } }),
    );
    await run("npm", ["install", "--offline", "--no-audit", "--no-fund", "--install-links"], { cwd: at("app") });
    assert.match(await run("npm", ["run", "-s", "say"], { cwd: at("app") }), /branch of leaf/);
    assert.equal(readFileSync(at("app/installed"), "utf8"), "");
  });

  test("python3 makes a virtual environment and runs in it", needs("python3"), async () => {
    await run("/usr/bin/python3", ["-m", "venv", "--without-pip", "venv"]);
    const said = await run(at("venv/bin/python3"), ["-c", "import sys, ssl, sqlite3, threading; print(sys.prefix)"]);
    assert.equal(said.trim(), at("venv"));
  });

  test("cc compiles and links a program, and it runs", needs("cc"), async () => {
    put("hello.c", '#include <stdio.h>\nint main(void) { return puts("hello") < 0; }\n');
    await run("cc", ["-O1", "-o", "hello", "hello.c"]);
    assert.equal(await run(at("hello"), []), "hello\n");
  });

  test("node --test runs tests in processes of their own", async () => {
    put(
      "sum.test.mjs",
      "import test from 'node:test'; import assert from 'node:assert'; test('sum', () => assert.equal(1 + 1, 2));\n",
    );
    const said = await run(process.execPath, ["--test", "--test-reporter=tap", "sum.test.mjs"]);
    assert.match(said, /# pass 1/);
  });

  test("a shell has pipes, a here-document, background jobs and its own temporary files", async () => {
    const script =
      'cat <<END | tr a-z A-Z\ntext\nEND\n(sleep 0.01; echo late > late) & wait; cat late; mktemp -p "$TMPDIR" | wc -l';
    assert.equal(await run("sh", ["-c", script]), "TEXT\nlate\n1\n");
  });
});
