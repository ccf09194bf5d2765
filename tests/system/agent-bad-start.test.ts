/**
 * Goal: whatever is wrong with an agent's program or a message to it, and whatever its protocol, the caller gets the error that says so, with
 * the program's last words, and nothing is left. Method: the real daemon; programs that misbehave, and agents whose every word is the test's.
 */
import assert from "node:assert/strict";
import { chmodSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { FakeAgents, type FakeAgent } from "@hl/testkit/fake-agent.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { refused } from "./agent-world.ts";

const protocols = ["stream-json", "jsonrpc", "acp"] as const;

const script = `#!/bin/bash
case $BEHAVE in
  exits) echo 'no licence found' >&2; exit 3;;
  garbage) echo 'Loading...'; echo '{"half":'; echo '[1,2]'; echo 'it goes on and on' >&2; exec sleep 600;;
  silent) exec sleep 600;;
  floods) head -c 8000000 /dev/zero | tr '\\0' x >&2; echo 'the last line' >&2; exit 4;;
esac
`;

describe("agents that misbehave", () => {
  test("1201 with the last lines of stderr: exits at once, prints garbage, never answers, floods stderr", async () => {
    using folder = temporaryFolder("hl-bad-agent");
    const binary_path = join(folder.path, "agent");
    writeFileSync(binary_path, script);
    chmodSync(binary_path, 0o755);
    const claude_integration = { binary_path, start_timeout_seconds: 2 };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    using client = await daemon.connect();
    const cases: [behave: string, message: RegExp, stderr: RegExp][] = [
      ["exits", /failed to start.*exit code 3/, /no licence found/],
      ["garbage", /did not answer within 2000 ms/, /it goes on and on/],
      ["silent", /did not answer within 2000 ms/, /^$/],
      ["floods", /failed to start.*exit code 4/, /x{100,}the last line\n$/],
    ];
    for (const protocol of protocols) {
      for (const [behave, message, stderr] of cases) {
        const params = { workspace_path: daemon.workspace, protocol, environment: { BEHAVE: behave } };
        const error = await refused(client.call("claude/start", params), 1201);
        assert.match(error.message, message, `${protocol} ${behave}`);
        assert.match(String(error.data?.["stderr_tail"]), stderr, `${protocol} ${behave}`);
      }
    }
    assert.equal((await client.call("system/health")).agents.running, 0);
    await noProcessOf(daemon.workspace);
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

async function answer(agent: FakeAgent, method: string, result: object): Promise<void> {
  const { id } = await agent.got((message) => message.method === method);
  await agent.write(`${JSON.stringify({ jsonrpc: "2.0", id, result })}\n`);
}
