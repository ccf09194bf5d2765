// Goal: A1, A3, P1: an agent works in the VM as the developer, asks an operator who is elsewhere, does what he allowed and not what he denied, and is gone when
// it is stopped. Method: the pinned real Claude Code, by itself and behind the bridge of the release; a stub of the model's API in the VM's network.
import assert from "node:assert/strict";
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { copyFileSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { after } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { ensureAgents } from "../agents/install.ts";
import { root, slowMsMax } from "./installed-vm.ts";
import { walk } from "./walk.ts";

const claude = "/opt/freestyle/claude-code/bin/claude";
const workspace = "/home/developer/workspace";

walk("an agent under systemd", (vm, step) => {
  let model: ChildProcess | undefined;
  after(() => model?.kill("SIGTERM"));
  /** Answers its address, in the VM's network. */
  const startModel = async (): Promise<string> => {
    const main = join(repositoryRoot, "packages/testkit/src/model-api/main.ts");
    const stdio = ["ignore", "pipe", "inherit"] as const;
    const child = spawn("nsenter", [...vm.inNetwork([process.execPath, main])], { stdio: [...stdio] });
    model = child;
    const [line] = (await once(createInterface({ input: child.stdout }), "line")) as [string];
    return (JSON.parse(line) as { url: string }).url;
  };

  /** Of agents and what they started, as root sees it. */
  const agentProcesses = async (): Promise<string> =>
    (await vm.run("pgrep -u developer -al 'claude|bash|node'")).stdout;
  const pendingOf = (agent: string): Promise<Message> =>
    until(
      "the operator to see a request",
      async () => {
        const { approvals } = JSON.parse(await vm.remote("--json", "approvals", "list", "--agent", agent));
        return approvals[0];
      },
      slowMsMax,
    );
  /** One turn that asks for a tool, and the operator's word on it; answers what the agent says in the end. */
  const turn = async (agent: string, command: string, decision: readonly string[]): Promise<string> => {
    const answer = vm.remote("claude", "send", agent, `!bash ${command}`);
    answer.catch(() => {}); // Awaited below; until then something else may fail first.
    const asked = await pendingOf(agent);
    assert.deepEqual([asked.tool_name, asked.input.command], ["Bash", command]);
    const [verb = "", ...more] = decision;
    await vm.remote("approvals", verb, asked.approval_id, "--input-hash", asked.input_hash, ...more);
    return answer;
  };

  step("installed, with Claude Code beside it", async () => {
    copyFileSync((await ensureAgents()).claude, join(vm.payload, "claude"));
    await vm.mustRun(`install -D -m 0755 /mnt/payload/claude ${claude}`);
    await vm.install();
    const url = await startModel();
    const environment = { ...agentEnvironment(url), CLAUDE_CODE_EXECUTABLE: claude, SHELL: "/bin/bash" };
    const patience = { start_timeout_seconds: 120, stdio_timeout: 120 };
    await vm.edit(`Object.assign(c.claude_integration, ${JSON.stringify({ environment, ...patience })})`);
    await vm.mustRun("systemctl restart hl-daemon");
    await vm.healthy();
  });

  for (const [name, binary, protocol] of [
    ["Claude Code itself", claude, "stream-json"],
    ["the bridge of the release", `${root}/bin/claude-code`, "jsonrpc"],
  ] as const) {
    step(`${name}: starts, asks an operator elsewhere, does what was allowed and not what was denied`, async () => {
      await vm.edit(`c.claude_integration.binary_path=${JSON.stringify(binary)}`);
      await vm.mustRun("systemctl reload hl-daemon");
      const agent = (await vm.remote("claude", "start")).trim();
      const status = await vm.rpc("claude/status", { process_id: agent });
      assert.deepEqual([status.protocol, status.status], [protocol, "idle"]);
      // One that has ended meanwhile has none.
      const environments = await vm.mustRun(
        "for pid in $(pgrep -u developer -f claude); do cat /proc/$pid/environ 2>/dev/null; done; :",
      );
      assert.ok(environments.includes("ANTHROPIC_BASE_URL=http://127.0.0.1:") && !environments.includes("test-key"));

      const made = `by-${protocol}.txt`;
      assert.match(await turn(agent, `id -un > ${made}; echo made`, ["approve"]), /tool result: made/);
      assert.equal(
        await vm.mustRun(`cat ${workspace}/${made}; stat -c %U ${workspace}/${made}`),
        "developer\ndeveloper\n",
      );
      const denied = await turn(agent, `touch denied-${protocol}`, ["deny", "--reason", "not on a Friday"]);
      assert.match(denied, /tool error: not on a Friday/);
      await vm.mustRun(`test ! -e ${workspace}/denied-${protocol}`);
      const secret = await turn(agent, `cat ${root}/data/auth/access_token`, ["approve"]);
      assert.match(secret, /tool error:[^]*(Permission denied|No such file)/);

      await vm.remote("claude", "stop", agent);
      assert.equal((await vm.rpc("claude/status", { process_id: agent })).status, "ended");
      await until("nothing of it to be left", async () => (await agentProcesses()) === "");
    });
  }

  step("who decided is in the cloud, for each request", async () => {
    const decided = await until("six decisions", async () => {
      const all = (await vm.cloudEvents()).filter(({ event_type }) => event_type === "approval.decided");
      return all.length === 6 && all;
    });
    const told = decided.map(({ data }) => `${data.decision} ${data.decided_by.via}`);
    assert.deepEqual(told, ["allow cloud", "deny cloud", "allow cloud", "allow cloud", "deny cloud", "allow cloud"]);
  });
});
