/**
 * Goal: X1: the real Claude Code works inside the daemon's sandbox, its tools too, and what a tool was not given it does not reach. Method: the pinned
 * program under the real daemon with the sandbox on; the stub of the model's API asks for the Bash tool, which is allowed for this session.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { ensureAgents } from "./install.ts";

test("X1: a turn of the real Claude Code with a tool, in the sandbox", async () => {
  await using model = await startModelApi();
  using outside = temporaryFolder("hl-outside");
  writeFileSync(join(outside.path, "secret"), "the stranger's secret");
  const { claude } = await ensureAgents();
  const claude_integration = {
    binary_path: claude,
    environment: agentEnvironment(model.url),
    start_timeout_seconds: 60,
    stdio_timeout: 60,
  };
  await using daemon = await TestDaemon.start({ config: { claude_integration } });
  using client = await daemon.connect();
  const asked = { workspace_path: daemon.workspace, args: ["--allowedTools", "Bash"] };
  const { process_id } = (await client.ask({ jsonrpc: "2.0", id: 1, method: "claude/start", params: asked }, 90_000))
    .result;
  const turn = async (command: string): Promise<string> => {
    const params = { process_id, message: `!bash ${command}` };
    const { result } = await client.ask({ jsonrpc: "2.0", id: command, method: "claude/relay", params }, 90_000);
    return JSON.stringify(result.response);
  };
  assert.match(await turn("echo made by a tool > made.txt && cat made.txt"), /made by a tool/);
  assert.equal(readFileSync(join(daemon.workspace, "made.txt"), "utf8"), "made by a tool\n");
  for (const path of [
    join(outside.path, "secret"),
    join(daemon.home, "data/auth/local_token"),
    `/proc/${daemon.pid}/environ`,
    "/etc/shadow",
  ]) {
    const told = await turn(`cat ${path}; echo tried`);
    assert.match(told, /Permission denied/i, path);
    assert.doesNotMatch(told, /the stranger's secret/);
  }
  await turn(`touch ${outside.path}/made; echo tried`);
  assert.ok(!existsSync(join(outside.path, "made")));
});
