/**
 * Goal: whatever is wrong with an agent's program or a message to it, and whatever its protocol, the caller gets the error that says so, with
 * the program's last words, and nothing is left. Method: the real daemon; programs that misbehave, and agents whose every word is the test's.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FakeAgents, type FakeAgent } from "@hl/testkit/fake-agent.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { refused } from "./agent-world.ts";

const protocols = ["stream-json", "jsonrpc", "acp"] as const;

const script = `#!/bin/bash
case $BEHAVE in
  exits) echo 'no licence found' >&2; exit 3;;
  another) exit 0;;
  late) sleep 60; echo '{"jsonrpc":"2.0","id":0,"result":{}}'; echo 'ready now' >&2; exec sleep 600;;
  garbage) echo 'Loading...'; echo '{"half":'; echo '[1,2]'; echo 'it goes on and on' >&2; exec sleep 600;;
  silent) exec sleep 600;;
  floods) head -c 8000000 /dev/zero | tr '\\0' x >&2; echo 'the last line' >&2; exit 4;;
esac
`;

describe("agents that misbehave", () => {
  test("1201 with the last lines of stderr: another program, exits at once, prints garbage, never answers, answers late, floods stderr", async () => {
    using folder = temporaryFolder("hl-bad-agent");
    const binary_path = join(folder.path, "agent");
    writeFileSync(binary_path, script);
    chmodSync(binary_path, 0o755);
    await using daemon = await TestDaemon.start({ config: { claude_integration: { binary_path } } });
    using client = await daemon.connect();
    const cases: [behave: string, message: RegExp, stderr: RegExp, seconds: number][] = [
      ["exits", /failed to start.*exit code 3/, /no licence found/, 60],
      ["another", /failed to start.*exit code 0/, /^$/, 60],
      ["late", /did not answer within 2000 ms/, /^$/, 2],
      ["garbage", /did not answer within 2000 ms/, /it goes on and on/, 2],
      ["silent", /did not answer within 2000 ms/, /^$/, 2],
      ["floods", /failed to start.*exit code 4/, /x{100,}the last line\n$/, 60],
    ];
    for (const protocol of protocols) {
      for (const [behave, message, stderr, seconds] of cases) {
        const config_section = "claude_integration.start_timeout_seconds";
        await client.call("system/config/update", { config_section, config_data: seconds });
        const params = { workspace_path: daemon.workspace, protocol, environment: { BEHAVE: behave } };
        const error = await refused(client.call("claude/start", params, 65_000), 1201);
        assert.match(error.message, message, `${protocol} ${behave}`);
        assert.match(String(error.data?.["stderr_tail"]), stderr, `${protocol} ${behave}`);
      }
    }
    assert.equal((await client.call("system/health")).agents.running, 0);
    await noProcessOf(daemon.workspace);
  });

  test("1201 says what is wrong with the program: missing, a folder, not executable, not a program", async () => {
    using folder = temporaryFolder("hl-bad-agent");
    const [plain, text] = [join(folder.path, "plain"), join(folder.path, "text")];
    writeFileSync(plain, "#!/bin/sh\nexit 0\n");
    writeFileSync(text, "no program\n");
    chmodSync(text, 0o755);
    const cases: [binary_path: string, message: RegExp][] = [
      [join(folder.path, "nowhere"), /nowhere" does not exist/],
      [folder.path, /is not a file/],
      [plain, /plain" is not executable/],
      [text, /could not be started \(exec\)/],
    ];
    for (const [binary_path, message] of cases) {
      await using daemon = await TestDaemon.start({ config: { claude_integration: { binary_path } } });
      using client = await daemon.connect();
      for (const protocol of ["auto", ...protocols]) {
        const starting = client.call("claude/start", { workspace_path: daemon.workspace, protocol });
        assert.match((await refused(starting, 1201)).message, message, `${protocol} ${binary_path}`);
      }
      assert.deepEqual((await client.call("claude/list")).processes, []);
    }
  });

  test("A1: 1203 where the answer to a message comes too late, which reaches nobody, and 1205 where too many wait", async () => {
    using folder = temporaryFolder("hl-bad-agent");
    await using agents = await FakeAgents.start();
    const communication = { max_queued_messages: 1 };
    const claude_integration = { ...agents.config(folder.path), communication };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    using client = await daemon.connect();
    for (const protocol of protocols) {
      const starting = client.call("claude/start", { workspace_path: daemon.workspace, protocol });
      const agent = await agents.next();
      await makeReady[protocol](agent);
      const { process_id } = await starting;
      const relay = (message: string, timeout: number): Promise<Message> =>
        client.call("claude/relay", { process_id, message, timeout });
      const slow = refused(relay("slow", 0.5), 1203);
      await turns[protocol].begun(agent, 1);
      const waiting = relay("waits", 30);
      const { message } = await refused(relay("one too many", 30), 1205);
      assert.match(message, /1 relays wait/, protocol);
      const { data } = await slow;
      assert.equal(data?.["turnEnded"], false, `${protocol}: it has ignored the interrupt`);
      await turns[protocol].answer(agent, 1, "late");
      await turns[protocol].begun(agent, 2);
      await turns[protocol].answer(agent, 2, "in time");
      assert.match(JSON.stringify((await waiting).response), /in time/, protocol);
      await client.call("claude/stop", { process_id, force: true });
    }
  });

  test("a message of the wrong shape is -32602, after the stop it is 1204, of nobody 1202", async () => {
    using folder = temporaryFolder("hl-bad-agent");
    await using agents = await FakeAgents.start();
    await using daemon = await TestDaemon.start({ config: { claude_integration: agents.config(folder.path) } });
    using client = await daemon.connect();
    for (const protocol of protocols) {
      const starting = client.call("claude/start", { workspace_path: daemon.workspace, protocol });
      const agent = await agents.next();
      await makeReady[protocol](agent);
      const { process_id } = await starting;
      for (const message of [7, null, {}, "", { method: "session/set_mode" }]) {
        const error = await refused(client.call("claude/relay", { process_id, message }), -32602);
        assert.match(error.message, /^message: .*allowed are/, protocol);
      }
      await client.call("claude/stop", { process_id, force: true });
      const ended = await refused(client.call("claude/relay", { process_id, message: "x" }), 1204);
      assert.ok(ended.data !== undefined && "exit_code" in ended.data && "stderr_tail" in ended.data);
    }
    await refused(client.call("claude/relay", { process_id: "agent_nobody", message: "x" }), 1202);
  });
});

const makeReady: Readonly<Record<(typeof protocols)[number], (agent: FakeAgent) => Promise<void>>> = {
  "stream-json": (agent) => agent.initialized(1),
  jsonrpc: async (agent) => {
    await answer(agent, "system/ping", {});
    await answer(agent, "system/info", {});
  },
  acp: async (agent) => {
    await answer(agent, "initialize", { protocolVersion: 1 });
    await answer(agent, "session/new", { sessionId: "s1" });
  },
};

const rpcTurn = (method: string, resultOf: (text: string) => object): FakeTurns => {
  const isTurn = (message: Message): boolean => message.method === method;
  return {
    begun: async (agent, n) => {
      await agent.got(isTurn, n);
    },
    answer: async (agent, n, text) => {
      const { id } = await agent.got(isTurn, n);
      const chunk = { sessionUpdate: "agent_message_chunk", content: { type: "text", text } };
      const update = { jsonrpc: "2.0", method: "session/update", params: { sessionId: "s1", update: chunk } };
      const said = method === "session/prompt" ? `${JSON.stringify(update)}\n` : "";
      await agent.write(`${said}${JSON.stringify({ jsonrpc: "2.0", id, result: resultOf(text) })}\n`);
    },
  };
};

/** A turn as each protocol has it, from the agent's side. */
interface FakeTurns {
  readonly begun: (agent: FakeAgent, n: number) => Promise<void>;
  readonly answer: (agent: FakeAgent, n: number, text: string) => Promise<void>;
}

const turns: Readonly<Record<(typeof protocols)[number], FakeTurns>> = {
  "stream-json": {
    begun: async (agent, n) => {
      await agent.prompt(n);
      agent.claude.start();
    },
    answer: async (agent, _n, text) => agent.claude.finish(text),
  },
  jsonrpc: rpcTurn("message/send", (text) => ({ text })),
  acp: rpcTurn("session/prompt", () => ({ stopReason: "end_turn" })),
};

async function answer(agent: FakeAgent, method: string, result: object): Promise<void> {
  const { id } = await agent.got((message) => message.method === method);
  await agent.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
}
