/**
 * Goal: `claude-code --stdio` is what the specification says it is, over the real Claude Code, and leaves nothing of it behind. Method: the
 * program as a process, the real Claude Code behind it, and behind that a stub of the model's API.
 */
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcessWithoutNullStreams } from "node:child_process";
import { once } from "node:events";
import { chmodSync, existsSync, mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { promisify } from "node:util";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "./install.ts";

const program = join(repositoryRoot, "bin/claude-code");
const startMs = 90_000;

describe("bridge", () => {
  let model: ModelApi;
  let claude: string;

  before(async () => {
    model = await startModelApi();
    ({ claude } = await ensureAgents());
  });
  after(() => model[Symbol.asyncDispose]());

  const environmentIn = (folder: string): Record<string, string> => {
    const work = join(folder, "work");
    mkdirSync(work, { recursive: true });
    const own = { HOME: folder, CLAUDE_CONFIG_DIR: join(folder, "claude"), CLAUDE_CODE_TMPDIR: folder };
    return { PATH: process.env["PATH"] ?? "", ...own, CLAUDE_CODE_EXECUTABLE: claude, ...agentEnvironment(model.url) };
  };
  const started = (folder: string, args: readonly string[] = ["--stdio"]): BridgeProcess => {
    const env = environmentIn(folder);
    return new BridgeProcess(spawn(program, args, { cwd: join(folder, "work"), env, stdio: "pipe" }));
  };

  test("the specification's health check: a ping down a pipe is answered, and it ends with 0", async () => {
    using folder = temporaryFolder("hl-bridge");
    const ping = '{"jsonrpc":"2.0","id":"health-check","method":"system/ping","params":{}}';
    const script = `echo '${ping}' | "${program}" --stdio`;
    const { stdout } = await promisify(execFile)("sh", ["-c", script], { env: environmentIn(folder.path) });
    const answers: Message[] = stdout.split("\n").flatMap((line) => (line === "" ? [] : [JSON.parse(line)]));
    assert.equal(answers.find(({ id }) => id === "health-check").result.status, "ok");
    await noProcessOf(folder.path);
  });

  test("a conversation: info, a turn with its parts, approvals both ways, an interrupt, wrong calls, the end", async () => {
    using folder = temporaryFolder("hl-bridge");
    await using bridge = started(folder.path);
    const info = (await bridge.call("system/info")).result;
    assert.deepEqual([info.name, info.agent_version, info.state], ["claude-code", "2.1.330", "idle"]);

    const hello = (await bridge.call("message/send", { text: "hello" })).result;
    assert.deepEqual([hello.text, hello.is_error, hello.raw], ["echo: hello", false, undefined]);
    assert.equal(hello.session_id, info.session_id, "known before the first turn");
    const delta = ({ method, params }: Message): boolean => method === "message/event" && params.type === "delta";
    assert.ok(bridge.said.some(delta));
    const content = [{ type: "text", text: "blocks" }];
    assert.equal((await bridge.call("message/send", { content })).result.text, "echo: blocks");

    const allowed = bridge.call("message/send", { text: "!bash touch made.txt" });
    const asked = await bridge.next(({ method }) => method === "approval/request");
    assert.deepEqual([asked.params.tool_name, asked.params.input.command], ["Bash", "touch made.txt"]);
    bridge.send({ id: asked.id, result: { decision: "allow" } });
    assert.equal((await allowed).result.is_error, false);
    assert.ok(existsSync(join(folder.path, "work/made.txt")));
    const denied = bridge.call("message/send", { text: "!bash touch other.txt" });
    const second = await bridge.next(({ method, id }) => method === "approval/request" && id !== asked.id);
    bridge.send({ id: second.id, result: { decision: "deny", message: "not on a Friday" } });
    assert.equal((await denied).result.text, "tool error: not on a Friday");

    const calls = model.calls;
    const hanging = bridge.call("message/send", { text: "!hang" });
    await model.request(calls + 1);
    assert.deepEqual((await bridge.call("message/interrupt")).result, { interrupted: true });
    assert.deepEqual([(await hanging).result.is_error, (await hanging).result.error.kind], [true, "interrupted"]);

    bridge.raw("this is not JSON\n");
    await bridge.next(({ error }) => error?.code === -32700);
    assert.equal((await bridge.call("nothing/here")).error.code, -32601);
    for (const params of [{}, { text: "" }, { text: 7 }, { text: "a", content: [] }]) {
      assert.equal((await bridge.call("message/send", params)).error.code, -32602);
    }
    assert.equal((await bridge.call("message/send", { text: "fine" })).result.text, "echo: fine");
    assert.deepEqual((await bridge.call("session/end")).result, {});
    assert.equal(await bridge.exited(), 0);
    await noProcessOf(folder.path);
  });

  test("A3: a client that cannot be asked denies; a withdrawn request is cancelled", async () => {
    using folder = temporaryFolder("hl-bridge");
    await using bridge = started(folder.path);
    const denied = bridge.call("message/send", { text: "!bash touch made.txt" });
    const asked = await bridge.next(({ method }) => method === "approval/request");
    bridge.send({ id: asked.id, error: { code: -32601, message: "no such method" } });
    assert.match((await denied).result.text, /^tool error: Nobody could be asked/);
    const cut = bridge.call("message/send", { text: "!bash touch made.txt" });
    const second = await bridge.next(({ method, id }) => method === "approval/request" && id !== asked.id);
    await bridge.call("message/interrupt");
    await bridge.next(({ method, params }) => method === "$/cancelRequest" && params.id === second.id);
    assert.equal((await cut).result.is_error, true);
    assert.ok(!existsSync(join(folder.path, "work/made.txt")));
  });

  test("the end of its input in a turn interrupts the turn, answers it and ends Claude Code", async () => {
    using folder = temporaryFolder("hl-bridge");
    await using bridge = started(folder.path);
    const calls = model.calls;
    const cut = bridge.call("message/send", { text: "!hang" });
    await model.request(calls + 1);
    bridge.child.stdin.end();
    assert.equal((await cut).result.is_error, true);
    assert.equal(await bridge.exited(), 0);
    await noProcessOf(folder.path);
  });

  test("signals reach Claude Code, and its end is the bridge's", async () => {
    using folder = temporaryFolder("hl-bridge");
    await using bridge = started(folder.path);
    await bridge.call("system/ping");
    bridge.child.kill("SIGTERM");
    assert.equal(await bridge.exited(), 143);
    await noProcessOf(folder.path);
  });

  test("bad starts: wrong usage 64, no Claude Code 69, one that fails is told with its exit code", async () => {
    using folder = temporaryFolder("hl-bridge");
    const failing = join(folder.path, "failing");
    writeFileSync(failing, "#!/bin/sh\necho 'no licence found' >&2\nexit 3\n");
    chmodSync(failing, 0o755);
    const cases: [args: readonly string[], code: number, said: RegExp][] = [
      [[], 64, /--stdio is missing/],
      [["--stdio", "--nonsense"], 64, /nonsense/],
      [["--stdio", "--executable", "/nowhere/claude"], 69, /\/nowhere\/claude cannot be started/],
      [["--stdio", "--executable", failing], 3, /no licence found[^]*ended with 3/],
    ];
    for (const [args, code, said] of cases) {
      await using bridge = started(folder.path, args);
      assert.equal(await bridge.exited(), code, args.join(" "));
      assert.match(bridge.stderr, said);
    }
    // Installed under the name that it looks for, it does not find itself.
    const bin = join(folder.path, "bin");
    mkdirSync(bin);
    symlinkSync(program, join(bin, "claude"));
    const alone = { PATH: `${bin}:/usr/bin:/bin`, HOME: folder.path };
    await using lost = new BridgeProcess(spawn(program, ["--stdio"], { cwd: folder.path, env: alone, stdio: "pipe" }));
    assert.equal(await lost.exited(), 69);
    assert.match(lost.stderr, /no "claude" in PATH/);
    for (const [flag, said] of [
      ["--version", /^claude-code \d/],
      ["--help", /approval\/request/],
    ] as const) {
      await using bridge = started(folder.path, [flag]);
      assert.equal(await bridge.exited(), 0);
      assert.match(bridge.stdout, said);
    }
  });

  test("the daemon drives it over jsonrpc: a turn, an interrupt, and a stop that leaves nothing", async () => {
    const environment = { ...agentEnvironment(model.url), CLAUDE_CODE_EXECUTABLE: claude };
    const timeouts = { start_timeout_seconds: 60, stdio_timeout: 60 };
    const claude_integration = { binary_path: program, environment, ...timeouts };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    using client = await daemon.connect();
    const { process_id, agent_version, protocol } = await client.call(
      "claude/start",
      { workspace_path: daemon.workspace },
      startMs,
    );
    assert.deepEqual([agent_version, protocol], ["2.1.330", "jsonrpc"], "found by its --version");
    const relay = async (message: unknown): Promise<Message> =>
      (await client.call("claude/relay", { process_id, message }, startMs)).response;
    assert.equal((await relay("hello")).result.text, "echo: hello");
    const send = { jsonrpc: "2.0", id: 5, method: "message/send", params: { text: "again" } };
    assert.deepEqual([(await relay(send)).id, (await relay(send)).result.text], [5, "echo: again"]);
    const calls = model.calls;
    const hanging = relay("!hang");
    await model.request(calls + 1);
    assert.equal((await client.call("claude/interrupt", { process_id })).interrupted, true);
    assert.equal((await hanging).result.error.kind, "interrupted");
    const stopped = await client.call("claude/stop", { process_id, timeout: 20 }, startMs);
    assert.deepEqual([stopped.status, stopped.exit_code], ["stopped", 0]);
    await noProcessOf(daemon.workspace);
  });

  test("A2: killed with kill -9 under the daemon it is started again, and goes on with the session that it has named", async () => {
    const environment = { ...agentEnvironment(model.url), CLAUDE_CODE_EXECUTABLE: claude };
    const more = { start_timeout_seconds: 60, stdio_timeout: 60, restart_delay: 0.1 };
    await using daemon = await TestDaemon.start({
      config: { claude_integration: { binary_path: program, environment, ...more } },
    });
    using client = await daemon.connect();
    const { process_id, pid } = await client.call("claude/start", { workspace_path: daemon.workspace }, startMs);
    const relay = (message: string): Promise<Message> => client.call("claude/relay", { process_id, message }, startMs);
    await relay("remember the word plover");
    process.kill(pid, "SIGKILL");
    await until(
      "it is ready again",
      async () => {
        const [agent] = (await client.call("claude/list")).processes;
        return agent.status === "idle" && agent.restarts === 1;
      },
      startMs,
    );
    const next = model.request(model.calls + 1);
    assert.equal((await relay("which word?")).response.result.text, "echo: which word?");
    assert.match(JSON.stringify((await next).body?.messages), /remember the word plover.*which word/s);
    await client.call("claude/stop", { process_id });
    await noProcessOf(daemon.workspace);
  });
});

/** The bridge as a child, and what it has said. */
class BridgeProcess implements AsyncDisposable {
  readonly child: ChildProcessWithoutNullStreams;
  readonly said: Message[] = [];
  readonly #ended: Promise<unknown>;
  stdout = "";
  stderr = "";
  #rest = "";
  #ids = 0;

  constructor(child: ChildProcessWithoutNullStreams) {
    this.child = child;
    this.#ended = once(child, "close");
    child.stdin.on("error", () => {});
    child.stderr.setEncoding("utf8").on("data", (text: string) => (this.stderr += text));
    child.stdout.setEncoding("utf8").on("data", (text: string) => this.#take(text));
  }

  raw(text: string): void {
    this.child.stdin.write(text);
  }

  send(message: object): void {
    this.raw(`${JSON.stringify({ jsonrpc: "2.0", ...message })}\n`);
  }

  async call(method: string, params: object = {}): Promise<Message> {
    const id = `call-${(this.#ids += 1)}`;
    this.send({ id, method, params });
    return await this.next((message) => message.id === id && !("method" in message));
  }

  next(wanted: (message: Message) => boolean): Promise<Message> {
    return until("a message of the bridge", () => this.said.find(wanted));
  }

  async exited(): Promise<number | null> {
    await within("the end of the bridge", this.#ended);
    return this.child.exitCode;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.child.kill("SIGTERM");
    await this.#ended;
  }

  #take(text: string): void {
    this.stdout += text;
    const lines = (this.#rest + text).split("\n");
    this.#rest = lines.pop() ?? "";
    for (const line of lines) if (line.startsWith("{")) this.said.push(JSON.parse(line));
  }
}
