/**
 * Goal: the pinned Claude Code still behaves as the stream-json adapter assumes. Method: the real program, driven line by line
 * without the adapter, against the stub of the model's API. A new version of the agent is pinned only when these pass.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import { textOf } from "@hl/testkit/model-api/model-request.ts";
import { startRawClaude, type Message, type RawClaude } from "./raw-claude.ts";

describe("Claude Code over stream-json", () => {
  test("answers initialize with its version and pid, and a ping", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    const info = await control(claude, { subtype: "initialize" });
    assert.equal(info.claude_code_version, "2.1.330");
    assert.equal(info.pid, claude.child.pid);
    assert.equal(info.current_permission_mode, "default");
    assert.ok(await control(claude, { subtype: "get_binary_version" }));
    assert.equal(api.calls, 0);
  });

  test("a turn ends with a result that names our uuid, before its command_lifecycle ends", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    const uuid = prompt(claude, "hello");
    const end = await claude.next((message) => message.type === "result" || endsLifecycle(message));
    assert.equal(end.type, "result");
    assert.equal(end.subtype, "success");
    assert.equal(end.is_error, false);
    assert.equal(end.result, "echo: hello");
    assert.deepEqual(end.user_message_uuids, [uuid]);
    const lifecycle = await claude.next(endsLifecycle);
    assert.deepEqual([lifecycle.command_uuid, lifecycle.state], [uuid, "completed"]);
    assert.equal((await api.request(1)).headers["x-api-key"], "<redacted>");
  });

  test("a uuid sent again to the same process is swallowed: no turn, no result, no command_lifecycle", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    const uuid = prompt(claude, "hello");
    await claude.next(endsLifecycle);
    prompt(claude, "hello", uuid);
    const other = prompt(claude, "other");
    const next = await claude.next((message) => message.type === "result" || message.type === "command_lifecycle");
    assert.deepEqual([next.type, next.command_uuid], ["command_lifecycle", other]);
    await claude.next(isResult);
    assert.equal(api.calls, 2);
  });

  test("a uuid sent again after kill -9 and --resume is completed at once, without a turn", async () => {
    await using api = await startModelApi();
    const session = randomUUID();
    await using first = await startRawClaude(api.url, { arguments: ["--session-id", session] });
    const uuid = prompt(first, "hello");
    await first.next(endsLifecycle);
    first.child.kill("SIGKILL");
    await first.exited;

    await using second = await startRawClaude(api.url, { arguments: ["--resume", session], home: first.home });
    prompt(second, "hello", uuid);
    const again = await second.next((message) => message.type === "result" || message.type === "command_lifecycle");
    assert.deepEqual([again.type, again.command_uuid, again.state], ["command_lifecycle", uuid, "completed"]);
    assert.equal(api.calls, 1);
  });

  test("A3: asks before a tool that writes; allowed, it runs", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    prompt(claude, "!bash touch made.txt");
    const asked = await claude.next(asksForTool);
    assert.equal(asked.request.tool_name, "Bash");
    assert.equal(asked.request.input.command, "touch made.txt");
    decide(claude, asked, { behavior: "allow" });
    const result = await claude.next(isResult);
    assert.match(result.result, /^tool result: /u);
    assert.deepEqual(result.permission_denials, []);
    await access(join(claude.cwd, "made.txt"));
  });

  test("A3: denied, the tool does not run and the model is told why in our words", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    prompt(claude, "!bash touch made.txt");
    decide(claude, await claude.next(asksForTool), { behavior: "deny", message: "not on a Friday" });
    const result = await claude.next(isResult);
    assert.equal(result.result, "tool error: not on a Friday");
    assert.equal(result.permission_denials[0].tool_name, "Bash");
    await assert.rejects(access(join(claude.cwd, "made.txt")), { code: "ENOENT" });
    const told = (await api.request(2)).body?.messages?.flatMap((message) =>
      typeof message.content === "string" ? [] : message.content,
    );
    assert.equal(textOf(told?.find((block) => block.type === "tool_result")?.content ?? ""), "not on a Friday");
  });

  test("A3: an error in place of a decision, and one of the wrong shape, are denials", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    for (const said of [
      { subtype: "error", error: "approver lost" },
      { subtype: "success", response: { allow: true } },
    ]) {
      prompt(claude, "!bash touch made.txt");
      const { request_id } = await claude.next(asksForTool);
      claude.send({ type: "control_response", response: { request_id, ...said } });
      assert.match((await claude.next(isResult)).result, /^tool error/u);
    }
    await assert.rejects(access(join(claude.cwd, "made.txt")), { code: "ENOENT" });
  });

  test("an interrupt ends a streaming turn and leaves the process usable", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    const uuid = prompt(claude, "!slow 60000");
    await claude.next((message) => message.type === "stream_event");
    const request = await api.request(1);
    claude.send({ type: "control_request", request_id: "i1", request: { subtype: "interrupt" } });
    const result = await claude.next(isResult);
    assert.deepEqual([result.subtype, result.terminal_reason], ["error_during_execution", "aborted_streaming"]);
    assert.deepEqual(result.user_message_uuids, [uuid]);
    assert.equal(await request.ended, "aborted");
    prompt(claude, "still there?");
    assert.equal((await claude.next(isResult)).result, "echo: still there?");
  });

  test("an interrupt withdraws an open permission request", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    prompt(claude, "!bash touch made.txt");
    const asked = await claude.next(asksForTool);
    claude.send({ type: "control_request", request_id: "i1", request: { subtype: "interrupt" } });
    const withdrawn = await claude.next((message) => message.type === "control_cancel_request");
    assert.equal(withdrawn.request_id, asked.request_id);
    assert.equal((await claude.next(isResult)).terminal_reason, "aborted_tools");
  });

  test("what the API refuses is a result with is_error", async () => {
    await using api = await startModelApi();
    await using claude = await startRawClaude(api.url);
    prompt(claude, "!error 500");
    const result = await claude.next(isResult);
    assert.deepEqual([result.subtype, result.is_error, result.api_error_status], ["success", true, 500]);
    assert.match(result.result, /^API Error: /u);
  });

  test("end_session ends an idle process with 0, and one in a turn with its aborted result", async () => {
    await using api = await startModelApi();
    await using idle = await startRawClaude(api.url);
    await control(idle, { subtype: "initialize" });
    idle.send({ type: "control_request", request_id: "e1", request: { subtype: "end_session" } });
    assert.deepEqual(await idle.exited, { code: 0, signal: null });

    await using busy = await startRawClaude(api.url);
    prompt(busy, "!slow 60000");
    await busy.next((message) => message.type === "stream_event");
    busy.send({ type: "control_request", request_id: "e1", request: { subtype: "end_session" } });
    assert.equal((await busy.next(isResult)).is_error, true);
    assert.deepEqual(await busy.exited, { code: 1, signal: null });
  });
});

function prompt(claude: RawClaude, content: string, uuid: string = randomUUID()): string {
  claude.send({ type: "user", message: { role: "user", content }, parent_tool_use_id: null, session_id: "", uuid });
  return uuid;
}

async function control(claude: RawClaude, request: object): Promise<Message> {
  const request_id = randomUUID();
  claude.send({ type: "control_request", request_id, request });
  const answer = await claude.next(
    (message) => message.type === "control_response" && message.response.request_id === request_id,
  );
  assert.equal(answer.response.subtype, "success");
  return answer.response.response;
}

function decide(claude: RawClaude, asked: Message, response: object): void {
  claude.send({ type: "control_response", response: { subtype: "success", request_id: asked.request_id, response } });
}

function asksForTool(message: Message): boolean {
  return message.type === "control_request" && message.request.subtype === "can_use_tool";
}

function isResult(message: Message): boolean {
  return message.type === "result";
}

function endsLifecycle(message: Message): boolean {
  return message.type === "command_lifecycle" && ["completed", "cancelled"].includes(message.state);
}
