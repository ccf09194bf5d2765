/**
 * Goal: a test that uses the stub can trust it. Method: the stub is asked over real HTTP with fetch, the way an agent asks it.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { describe, test } from "node:test";
import { startModelApi, type ModelApi } from "./model-api.ts";
import { errorReply, textReply, toolReply } from "./model-reply.ts";

describe("model API stub", () => {
  test("streams an echo of the user's last words, past reminders and system messages", async () => {
    await using api = await startModelApi();
    const events = await streamed(await ask(api, conversation("hello")));
    assert.deepEqual(
      events.map((event) => event.type).filter((type, at, all) => type !== all[at - 1]),
      [
        "message_start",
        "ping",
        "content_block_start",
        "content_block_delta",
        "content_block_stop",
        "message_delta",
        "message_stop",
      ],
    );
    assert.equal(textIn(events), "echo: hello");
    assert.equal(events.find((event) => event.type === "message_delta").delta.stop_reason, "end_turn");
  });

  test("answers a request that does not stream with one body", async () => {
    await using api = await startModelApi();
    const answer = await json(await ask(api, { ...conversation("hello"), stream: false }));
    assert.deepEqual(answer.content, [{ type: "text", text: "echo: hello" }]);
    assert.equal(answer.stop_reason, "end_turn");
  });

  test("asks for Bash on !bash, then answers with the tool's result", async () => {
    await using api = await startModelApi();
    const asked = await json(await ask(api, { ...conversation("!bash touch made.txt"), stream: false }));
    assert.equal(asked.stop_reason, "tool_use");
    assert.equal(asked.content[0].name, "Bash");
    assert.equal(asked.content[0].input.command, "touch made.txt");

    const result = { type: "tool_result", tool_use_id: asked.content[0].id, content: "done", is_error: false };
    const messages = [...conversation("!bash touch made.txt").messages, { role: "user", content: [result] }];
    assert.equal(textIn(await streamed(await ask(api, { messages, stream: true }))), "tool result: done");
  });

  test("a streamed tool input arrives whole, also where a delta would split a surrogate pair", async () => {
    const input = { command: `echo ${"😀".repeat(20)}` };
    await using api = await startModelApi({ script: () => ({ ...toolReply("Bash", input), deltaChars: 3 }) });
    const events = await streamed(await ask(api, conversation("x")));
    const json = events.map((event) => event.delta?.partial_json ?? "").join("");
    assert.deepEqual(JSON.parse(json), input);
    assert.ok(events.every((event) => !(event.delta?.partial_json ?? "").includes("\ufffd")));
  });

  test("answers errors with status, name and headers, and forbids a retry unless told otherwise", async () => {
    await using api = await startModelApi();
    for (const [status, type] of [
      [400, "invalid_request_error"],
      [401, "authentication_error"],
      [429, "rate_limit_error"],
      [500, "api_error"],
      [529, "overloaded_error"],
    ] as const) {
      api.setScript(() => errorReply(status, { headers: { "retry-after": "7" } }));
      const response = await ask(api, conversation("x"));
      assert.equal(response.status, status);
      assert.equal(response.headers.get("retry-after"), "7");
      assert.equal(response.headers.get("x-should-retry"), "false");
      assert.equal((await json(response)).error.type, type);
    }
    api.setScript(() => errorReply(500, { headers: { "x-should-retry": "true" } }));
    assert.equal((await ask(api, conversation("x"))).headers.get("x-should-retry"), "true");
  });

  test("a script that throws, and a body that is no JSON, are errors of the API and not of the process", async () => {
    await using api = await startModelApi({
      script: () => {
        throw new Error("oops");
      },
    });
    const failed = await ask(api, conversation("x"));
    assert.equal(failed.status, 500);
    assert.match((await json(failed)).error.message, /oops/u);
    const garbage = await fetch(`${api.url}/v1/messages`, { method: "POST", body: "not JSON" });
    assert.equal(garbage.status, 400);
  });

  test("sends 5 MB without losing or reordering a line", async () => {
    await using api = await startModelApi();
    const text = textIn(await streamed(await ask(api, conversation("!big 5"))));
    assert.equal(text.length, 5 * 1024 * 1024);
    assert.ok(text.split("\n").every((line, number) => line === "" || line.startsWith(`${number}.`)));
  });

  test("cuts the connection before or in the middle of an answer", async () => {
    await using api = await startModelApi();
    await assert.rejects(ask(api, conversation("!cut")).then(streamed));
    api.setScript(() => ({ kind: "cut" }));
    await assert.rejects(ask(api, conversation("x")));
    assert.equal(await (await api.request(2)).ended, "aborted");
  });

  test("hangs until the client leaves, and says that it left", async () => {
    await using api = await startModelApi();
    const client = new AbortController();
    const answer = ask(api, conversation("!hang"), client.signal);
    const request = await api.request(1);
    client.abort();
    await assert.rejects(answer);
    assert.equal(await request.ended, "aborted");
  });

  test("pauses in an answer until the test lets it go on, or the client leaves", async () => {
    const gate = Promise.withResolvers<undefined>();
    const pause = { afterDeltas: 1, until: gate.promise };
    await using api = await startModelApi({ script: () => textReply("abcd", { deltaChars: 2, pause }) });
    const reader = (await ask(api, conversation("x"))).body!.pipeThrough(new TextDecoderStream()).getReader();
    let seen = "";
    while (!seen.includes('"ab"')) seen += (await reader.read()).value ?? "";
    assert.ok(!seen.includes('"cd"'));
    gate.resolve(undefined);
    for (let part = await reader.read(); !part.done; part = await reader.read()) seen += part.value;
    assert.match(seen, /"cd".*message_stop/su);

    api.setScript(() => textReply("abcd", { deltaChars: 2, pause: { afterDeltas: 1, until: new Promise(() => {}) } }));
    const client = new AbortController();
    const cut = await ask(api, conversation("x"), client.signal);
    client.abort();
    await assert.rejects(cut.text());
    assert.equal(await (await api.request(2)).ended, "aborted");
  });

  test("waits by the clock it was given", async () => {
    const slept: number[] = [];
    const clock = {
      now: () => 0,
      wallMs: () => 0,
      sleep: async (ms: number) => void slept.push(ms),
      after: () => () => {},
    };
    await using api = await startModelApi({
      clock,
      script: () => textReply("abcd", { delayMs: 50, deltaDelayMs: 7, deltaChars: 2 }),
    });
    assert.equal(textIn(await streamed(await ask(api, conversation("x")))), "abcd");
    assert.deepEqual(slept, [50, 7, 7]);
  });

  test("records requests without the values of keys; only model calls count for request(n)", async () => {
    await using api = await startModelApi();
    const second = api.request(2);
    assert.equal((await fetch(`${api.url}/api/hello`, { method: "HEAD" })).status, 200);
    const counted = await fetch(`${api.url}/v1/messages/count_tokens?beta=true`, {
      method: "POST",
      body: JSON.stringify(conversation("x")),
    });
    assert.ok((await json(counted)).input_tokens > 0);
    assert.equal((await fetch(`${api.url}/nowhere`)).status, 404);
    await streamed(await ask(api, conversation("one")));
    await streamed(await ask(api, conversation("two")));
    assert.deepEqual((await second).body?.messages, conversation("two").messages);
    assert.equal((await second).number, 5);
    assert.equal((await second).headers["x-api-key"], "<redacted>");
    assert.deepEqual(
      api.requests.map((request) => `${request.method} ${request.path}`),
      ["HEAD /api/hello", "POST /v1/messages/count_tokens", "GET /nowhere", "POST /v1/messages", "POST /v1/messages"],
    );
    assert.equal(api.calls, 2);
  });

  test("disposing ends open answers and whoever waits for a request, twice without harm", async () => {
    const api = await startModelApi();
    const answer = ask(api, conversation("!hang"));
    await api.request(1);
    const never = api.request(2);
    await api[Symbol.asyncDispose]();
    await api[Symbol.asyncDispose]();
    await assert.rejects(answer);
    await assert.rejects(never, /stopped after 1 model calls; call 2 never came/u);
    await assert.rejects(api.request(3), /stopped/u);
  });

  test("as a program it prints where it listens, and ends on SIGTERM", async () => {
    const child = spawn(process.execPath, [fileURLToPath(new URL("main.ts", import.meta.url)), "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const exited = once(child, "exit");
    const [line] = await once(createInterface(child.stdout), "line");
    const { ready, url, pid } = JSON.parse(line as string);
    assert.deepEqual([ready, pid], [true, child.pid]);
    assert.equal((await fetch(url, { method: "HEAD" })).status, 200);
    child.kill("SIGTERM");
    assert.deepEqual(await exited, [0, null]);
  });
});

function conversation(prompt: string): { stream: boolean; messages: { role: string; content: object[] }[] } {
  const reminder = { type: "text", text: "<system-reminder>\nnot the user\n</system-reminder>\n" };
  const user = { role: "user", content: [reminder, { type: "text", text: prompt }, reminder] };
  return { stream: true, messages: [user, { role: "system", content: [{ type: "text", text: "# Environment" }] }] };
}

async function ask(api: ModelApi, body: object, signal?: AbortSignal): Promise<Response> {
  const headers = { "content-type": "application/json", "x-api-key": "secret" };
  return await fetch(`${api.url}/v1/messages?beta=true`, {
    method: "POST",
    headers,
    body: JSON.stringify(body),
    signal: signal ?? null,
  });
}

/* eslint-disable @typescript-eslint/no-explicit-any -- bodies of many shapes, judged by the assertions */
async function json(response: Response): Promise<any> {
  return await response.json();
}

async function streamed(response: Response): Promise<any[]> {
  const text = await response.text();
  return text
    .split("\n")
    .filter((line) => line.startsWith("data: "))
    .map((line) => JSON.parse(line.slice("data: ".length)));
}

function textIn(events: readonly { readonly delta?: { readonly text?: string } }[]): string {
  return events.map((event) => event.delta?.text ?? "").join("");
}
