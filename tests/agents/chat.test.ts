/**
 * Goal: a person talks with the real Claude Code through `hl-client claude chat`, here and through the cloud, and docs/chat.md shows what
 * they really see. Method: real hl-client in a real terminal, hl-cloud, hl-daemon and the pinned Claude Code; the model's API is stubbed.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { Human } from "@hl/testkit/human.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { textReply, type ModelReply } from "@hl/testkit/model-api/model-reply.ts";
import { lastInput, type ModelRequest } from "@hl/testkit/model-api/model-request.ts";
import { repositoryRoot, runProgram, type Finished } from "@hl/testkit/programs.ts";
import { screenText } from "@hl/testkit/screen-text.ts";
import { startSystem, testInstanceId, TestDaemon, type TestSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "./install.ts";

const page = join(repositoryRoot, "docs/chat.md");
/** The page is written anew instead of being compared. */
const recording = process.env["HL_WRITE_DOCS"] === "1";

describe("hl-client claude chat with the real Claude Code", () => {
  let model: ModelApi;
  let system: TestSystem;
  let local: Readonly<Record<string, string>>;
  let remote: Readonly<Record<string, string>>;

  before(async () => {
    model = await startModelApi();
    const { claude } = await ensureAgents();
    const claude_integration = {
      ...{ binary_path: claude, environment: agentEnvironment(model.url) },
      ...{ start_timeout_seconds: 60, stdio_timeout: 60 },
    };
    system = await startSystem({ config: { claude_integration } });
    local = { HL_DAEMON_HOME: system.daemon.home };
    remote = {
      ...{ HL_CLOUD: system.cloud.url, HL_INSTANCE: testInstanceId },
      HL_OPERATOR_TOKEN_FILE: system.cloud.operatorTokenFile,
    };
  });
  after(async () => {
    await system[Symbol.asyncDispose]();
    await model[Symbol.asyncDispose]();
  });

  const chat = (env: Readonly<Record<string, string>>, ...args: string[]): Human =>
    new Human("hl-client", ["claude", "chat", ...args], { env: { NO_COLOR: "1", ...env }, columns: 300, rows: 50 });
  const made = (name: string): string => join(system.daemon.workspace, name);

  test("docs/chat.md is what a person sees: a tool allowed, one denied with a reason, status, the end", async () => {
    compare(await greetingSession(model, system.daemon, chat(local)));
    const { processes } = await system.operator.call("claude/list");
    assert.equal(processes[0].status, "ended", "P1: the agent that was started is stopped");
  });

  test("over the bridge and its JSON-RPC a person sees the same, but for the model and the mode, which it does not say", async () => {
    const { claude } = await ensureAgents();
    const environment = { ...agentEnvironment(model.url), CLAUDE_CODE_EXECUTABLE: claude };
    const binary_path = join(repositoryRoot, "bin/claude-code");
    const claude_integration = { binary_path, environment, start_timeout_seconds: 60, stdio_timeout: 60 };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    const seen = await greetingSession(model, daemon, chat({ HL_DAEMON_HOME: daemon.home }));
    assert.match(seen, /protocol +jsonrpc/);
    const said = seen.replace(/(protocol +)jsonrpc/, "$1stream-json");
    if (!recording) compare(said, /^  (?:model|mode) .*\n/gm);
  });

  test("through the cloud: text streams, a tool is allowed inline by the operator's name, Ctrl-C interrupts", async () => {
    model.setScript((request) => {
      const input = lastInput(request.body);
      if (input.kind === "tool_result") return textReply(`it said: ${input.text}`);
      if (input.text === "long") return textReply("word ".repeat(2000), { deltaChars: 5, deltaDelayMs: 50 });
      return {
        kind: "message",
        content: [
          { type: "text", text: "On it." },
          { type: "tool_use", name: "Bash", input: { command: "touch by-operator.txt && echo made" } },
        ],
      };
    });
    using human = chat(remote);
    await human.sees(/> /);
    human.type("go\r");
    await human.sees(/On it\.[^]*command: touch by-operator.txt && echo made[^]*y allow/);
    human.type("y");
    await human.sees(/approved\r\n[^]*ok: made\r\n[^]*it said: made/);
    assert.ok(existsSync(made("by-operator.txt")));
    const [approval] = (await system.operator.call("approval/list", { state: "approved" })).approvals;
    assert.deepEqual([approval.decided_by.via, approval.decided_by.on_behalf_of], ["cloud", "tester"]);
    await human.sees(/> /);
    human.type("long\r");
    await human.sees(/word word word/);
    human.type("\u0003");
    await human.sees(/interrupted\r\n/);
    await human.sees(/> /);
    human.type("\u0004");
    assert.equal((await human.leaves()).code, 0);
  });

  test("A1: `claude relay --steer` through the cloud is in the agent's hands while a turn runs, and has a result of its own", async () => {
    const goOn = Promise.withResolvers<undefined>();
    model.setScript(async (request) => {
      const { text } = lastInput(request.body);
      if (text === "the first") await goOn.promise;
      return textReply(`told: ${text}`);
    });
    const { process_id } = await system.operator.call("claude/start", { workspace_path: system.daemon.workspace });
    const relay = (...words: string[]): Promise<Finished> =>
      runProgram("hl-client", ["claude", "relay", process_id, ...words], { env: remote });
    const calls = model.calls;
    const first = relay("the first");
    await model.request(calls + 1);
    const steered = relay("--steer", "steered");
    await until("the steered message is on its way", async () => {
      const { relays_waiting } = await system.operator.call("claude/status", { process_id });
      return relays_waiting === 1;
    });
    goOn.resolve(undefined);
    for (const [asked, text] of [
      [first, "told: the first"],
      [steered, "told: steered"],
    ] as const) {
      const { code, stdout, stderr } = await asked;
      assert.equal(code, 0, stderr);
      assert.equal(JSON.parse(String(stdout)).response.text, text);
    }
    await system.operator.call("claude/stop", { process_id });
  });

  test("P3, A3: the daemon is killed while a request is open: the conversation goes on, and the answer counts", async () => {
    model.setScript((request) => {
      const input = lastInput(request.body);
      if (input.kind === "tool_result") return textReply(`it said: ${input.text}`);
      return {
        kind: "message",
        content: [{ type: "tool_use", name: "Bash", input: { command: `touch ${input.text}` } }],
      };
    });
    for (const [way, env] of [
      ["local", local],
      ["cloud", remote],
    ] as const) {
      using human = chat(env);
      await human.sees(/> /);
      human.type(`after-kill-${way}.txt\r`);
      await human.sees(/y allow/);
      await system.daemon.kill();
      await system.daemon.restart();
      if (way === "local") await human.sees(/connected again/);
      await human.sees(/y allow/);
      human.type("y");
      await human.sees(/approved/);
      await human.sees(/it said/);
      await human.sees(/> /);
      assert.ok(existsSync(made(`after-kill-${way}.txt`)));
      human.type("\u0004");
      assert.equal((await human.leaves()).code, 0, human.shown);
    }
    const { processes } = await system.operator.call("claude/list");
    assert.ok(processes.every(({ status }: Message) => status === "ended"));
  });
});

/** What a person sees who has a greeting written, and does not want it loud. */
async function greetingSession(model: ModelApi, daemon: TestDaemon, person: Human): Promise<string> {
  using human = person;
  const file = join(daemon.workspace, "hello.txt");
  model.setScript(greetings(daemon.workspace));
  await human.sees(/> /);
  human.type("Write a greeting into hello.txt.\r");
  await human.sees(/y allow/);
  assert.ok(!existsSync(file));
  human.type("y");
  await human.sees(/approved/);
  await human.sees(/tokens.*\r\n/);
  assert.equal(readFileSync(file, "utf8"), "Hello!\nGood to see you.\n");
  await human.sees(/> /);
  human.type("/status\r");
  await human.sees(/turns +1/);
  await human.sees(/> /);
  human.type("Make it louder.\r");
  await human.sees(/n deny/);
  human.type("n");
  await human.sees(/why\?/);
  human.type("people are asleep\r");
  await human.sees(/denied/);
  await human.sees(/tokens.*\r\n/);
  assert.match(readFileSync(file, "utf8"), /^Hello!/);
  await human.sees(/> /);
  human.type("\u0004");
  const { code, terminal } = await human.leaves();
  assert.deepEqual([code, terminal.same], [0, true], human.shown);
  return normalised(human.shown, daemon.workspace);
}

/** A model that writes a greeting, wants to shout it, and takes no for an answer. */
function greetings(workspace: string): (request: ModelRequest) => ModelReply {
  const file_path = join(workspace, "hello.txt");
  return (request) => {
    const input = lastInput(request.body);
    if (input.kind === "tool_result")
      return textReply(input.isError ? "Then it stays as it is." : "hello.txt greets whoever opens it.");
    const louder = input.text.includes("louder");
    const text = louder ? "I will put it in capitals." : "I will write it.";
    const tool = louder
      ? { name: "Edit", input: { file_path, old_string: "Hello!\nGood", new_string: "HELLO!\nGood" } }
      : { name: "Write", input: { file_path, content: "Hello!\nGood to see you.\n" } };
    return {
      kind: "message",
      content: [
        { type: "text", text },
        { type: "tool_use", ...tool },
      ],
    };
  };
}

/** What differs from run to run, in the words of an ordinary one. */
function normalised(shown: string, workspace: string): string {
  return screenText(Buffer.from(shown, "latin1").toString("utf8"))
    .replaceAll(workspace, "/home/developer/workspace")
    .replaceAll(/agent_[0-9a-f-]{36}/g, "agent_7c1f")
    .replaceAll(/[0-9a-f]{8}-[0-9a-f-]{27}/g, "5b0e")
    .replaceAll(/ \(file state.*$/gm, " (file state …)")
    .replaceAll(/waits \d+ min( \d+ s)? more/g, "waits 59 min more")
    .replaceAll(/waits 1 h more/g, "waits 59 min more")
    .replaceAll(/[\d.]+ m?s$/gm, "1.2 s")
    .trimEnd();
}

/** @param except what is not compared */
function compare(session: string, except = /^$/): void {
  const text = readFileSync(page, "utf8");
  const block = /```text\n(\$ hl-client claude chat\n[^]*?)\n```/;
  const recorded = block.exec(text)?.[1];
  const wanted = `$ hl-client claude chat\n${session}`;
  if (recording) {
    const changed = text.replace(block, () => `\`\`\`text\n${wanted}\n\`\`\``);
    writeFileSync(page, changed);
    return;
  }
  const what = "record it anew: HL_WRITE_DOCS=1 node --test tests/agents/chat.test.ts";
  assert.equal(recorded?.replace(except, ""), wanted.replace(except, ""), what);
}
