/**
 * Goal: X4: an agent's tools do not find the key of the model's API, which the API gets all the same; P3: a daemon that is killed in a turn
 * comes back and the turn goes on. Method: the pinned Claude Code under the real daemon; in front of the stub of the model's API a server
 * that notes the keys; a tool that looks into every environment that it can read, once with the proxy and once without.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "./install.ts";

const patienceMs = 90_000;
const realKey = "sk-ant-real-key-of-this-test";
const look = "{ env; cat /proc/[0-9]*/environ; } >found.txt 2>/dev/null; echo looked";

describe("the key proxy with the real Claude Code", () => {
  const stack = new AsyncDisposableStack();
  let api: NotingApi;
  before(async () => {
    api = stack.use(await NotingApi.start());
  });
  after(() => stack.disposeAsync());

  test("X4: the API gets the key, a tool does not find it, and the token of an ended agent is void", async () => {
    await using daemon = await startDaemon(api.url, true);
    api.keys.clear();
    const process_id = await startAgent(daemon);
    assert.match((await relay(daemon, process_id, `!bash ${look}`)).text, /^tool result: looked/);
    assert.deepEqual([...api.keys], [realKey]);
    const found = foundBy(daemon);
    assert.ok(found.includes(`HL_PROCESS_ID=${process_id}`), "it has read environments");
    assert.ok(!found.includes(realKey));
    const token = /^ANTHROPIC_API_KEY=(.+)$/m.exec(found)?.[1] ?? "";
    const url = /^ANTHROPIC_BASE_URL=(.+)$/m.exec(found)?.[1] ?? "";
    assert.match(token, /^hl_agent_/);

    const asks = async (): Promise<number> =>
      (await fetch(`${url}/v1/models`, { headers: { "x-api-key": token } })).status;
    assert.equal(await asks(), 200);
    using client = await daemon.connect();
    await client.call("claude/stop", { process_id }, patienceMs);
    assert.equal(await asks(), 401);
    assert.deepEqual(filesWith(daemon.home, realKey), ["config/daemon.json"], "the configuration alone has it");
  });

  test("without the proxy the same tool finds the key", async () => {
    await using daemon = await startDaemon(api.url, false);
    const process_id = await startAgent(daemon);
    await relay(daemon, process_id, `!bash ${look}`);
    assert.ok(foundBy(daemon).includes(realKey));
  });

  test("P3: the daemon is killed while the model answers: back again, the turn ends, and the next one works", async () => {
    await using daemon = await startDaemon(api.url, true);
    const process_id = await startAgent(daemon);
    const calls = api.calls;
    const relay_id = randomUUID();
    const cut = relay(daemon, process_id, "!slow 3000", relay_id).catch(() => {});
    await until("the model to be asked", () => api.calls > calls);
    await daemon.kill();
    await cut;
    await daemon.restart();
    assert.match((await relay(daemon, process_id, "!slow 3000", relay_id)).text, /slow: 3000$/);
    assert.equal((await relay(daemon, process_id, "again")).text, "echo: again");
    assert.ok(!api.keys.has(""), "each request had a key");
    assert.deepEqual([...api.keys], [realKey]);
  });
});

function startDaemon(url: string, key_proxy: boolean): Promise<TestDaemon> {
  return ensureAgents().then(({ claude }) => {
    const environment = {
      ...agentEnvironment(url),
      ...{ ANTHROPIC_API_KEY: realKey, CLAUDE_CODE_MAX_RETRIES: "10" },
    };
    const rules = [{ tool: "Bash", decision: "allow" }];
    const more = { start_timeout_seconds: 60, stdio_timeout: 60, approvals: { rules } };
    return TestDaemon.start({
      config: { claude_integration: { binary_path: claude, environment, key_proxy, ...more } },
    });
  });
}

async function startAgent(daemon: TestDaemon): Promise<string> {
  using client = await daemon.connect();
  const started = await client.call("claude/start", { workspace_path: daemon.workspace }, patienceMs);
  return started.process_id;
}

async function relay(daemon: TestDaemon, process_id: string, message: string, relay_id?: string): Promise<Message> {
  using client = await daemon.connect();
  const asked = { process_id, message, relay_id: relay_id ?? randomUUID() };
  return (await client.call("claude/relay", asked, patienceMs)).response;
}

function foundBy(daemon: TestDaemon): string {
  return readFileSync(join(daemon.workspace, "found.txt"), "utf8").replaceAll("\0", "\n");
}

/** Of what the daemon has written, its database first. Not the agent's own folders, which go with its end. */
function filesWith(home: string, text: string): string[] {
  const files = ["config", "data/auth", "data/state", "data/runner", "logs"].flatMap((folder) =>
    readdirSync(join(home, folder), { recursive: true, encoding: "utf8" }).map((path) => join(folder, path)),
  );
  return files.filter((path) => {
    const full = join(home, path);
    const isFile = statSync(full, { throwIfNoEntry: false })?.isFile() === true;
    return isFile && readFileSync(full).includes(text);
  });
}

/** The stub of the model's API, and the keys that it was asked with: the stub itself keeps none. */
class NotingApi implements AsyncDisposable {
  readonly keys = new Set<string>();
  calls = 0;
  readonly url: string;
  readonly #close: () => Promise<void>;

  private constructor(url: string, close: () => Promise<void>) {
    this.url = url;
    this.#close = close;
  }

  static async start(): Promise<NotingApi> {
    const stub = await startModelApi();
    const server = createServer((incoming, response) => {
      api.keys.add(String(incoming.headers["x-api-key"] ?? ""));
      api.calls += 1;
      const { method, headers } = incoming;
      const outgoing = request(stub.url + (incoming.url ?? ""), { method, headers, agent: false });
      outgoing.on("error", () => response.destroy());
      outgoing.on("response", (answer) => {
        response.writeHead(answer.statusCode ?? 500, answer.headers);
        answer.on("error", () => response.destroy());
        answer.pipe(response);
      });
      response.on("close", () => outgoing.destroy());
      incoming.pipe(outgoing);
    });
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    const api = new NotingApi(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, async () => {
      server.close();
      server.closeAllConnections();
      await stub[Symbol.asyncDispose]();
    });
    return api;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.#close();
  }
}
