/**
 * `npm run demo`: the main job once, from end to end, on real parts: enrol a VM, run a command in the sandbox through the
 * cloud with its output streamed, hold a conversation with the real Claude Code CLI (against our stub of the model's API,
 * so that it needs no key and no network), and see the events arrive. Exits 0 when all of it happened.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import {
  makeDaemonHome,
  printedToken,
  repositoryRoot,
  runProgram,
  startCloud,
  startDaemon,
  temporaryFolder,
  type Finished,
} from "@hl/testkit/programs.ts";
import { ensureAgents } from "../tests/agents/install.ts";

const instanceId = "demo-vm";
const say = (text: string): void => void process.stdout.write(`${text}\n`);

execFileSync("sh", [join(repositoryRoot, "scripts/build-native.sh")], { stdio: ["ignore", "inherit", "inherit"] });
const { claude } = await ensureAgents();
using folder = temporaryFolder("hl-demo");
const cloudHome = join(folder.path, "cloud");

say("1. The control plane, and a one-time token for a VM");
await using model = await startModelApi();
await using cloud = await startCloud(cloudHome);
const enrollment = await printedToken(["enroll", "--home", cloudHome, "--instance", instanceId]);
const operatorTokenFile = join(folder.path, "operator-token");
writeFileSync(
  operatorTokenFile,
  await printedToken(["operator", "add", "demo", "--home", cloudHome, "--role", "admin"]),
  { mode: 0o600 },
);
say(`   hl-cloud at ${cloud.ready.url}`);

say("2. The daemon enrols, and is healthy");
const { home, workspace } = makeDaemonHome(join(folder.path, "vm"), {
  daemon: { instance_id: instanceId, workspace_id: "demo" },
  claude_integration: { binary_path: claude, environment: agentEnvironment(model.url) },
  event_streaming: { flush_interval: 0.2 },
});
const env = { HL_CLOUD_API__BASE_URL: cloud.ready.url, HL_ENROLLMENT_TOKEN: enrollment };
await using daemon = await startDaemon(home, { env });
const remote = ["--cloud", cloud.ready.url, "--instance", instanceId, "--token-file", operatorTokenFile];
const client = async (...args: string[]): Promise<Finished> => {
  say(`   $ hl-client ${args.join(" ")}`);
  const finished = await runProgram("hl-client", [...remote, ...args]);
  for (const line of `${finished.stdout.toString("utf8")}${finished.stderr}`.trimEnd().split("\n")) say(`   ${line}`);
  return finished;
};
assert.equal(
  (await runProgram("hl-health-check", ["--url", `http://${daemon.ready.http}`])).code,
  0,
  "the daemon is healthy",
);

say("3. A command in the VM, through the cloud, in the sandbox");
const listing = await client("exec", "--", "python3", "-c", "import os; print('hello from', os.getcwd())");
assert.equal(listing.code, 0);
const secret = await client("exec", "--", "cat", join(home, "data/auth/refresh_token"));
assert.notEqual(secret.code, 0, "the sandbox lets no command read the daemon's keys");
const refused = await client("exec", "--", "sudo", "id");
assert.match(refused.stderr, /blocked/);

say("4. A conversation with Claude Code");
const started = await runProgram("hl-client", [...remote, "--json", "claude", "start", "--workspace", workspace]);
assert.equal(started.code, 0, started.stderr);
const { process_id: processId, agent_version: agentVersion } = JSON.parse(started.stdout.toString("utf8")) as {
  process_id: string;
  agent_version: string;
};
say(`   Claude Code ${agentVersion} is ready (${processId})`);
const reply = await client("claude", "send", processId, "hello from the demo");
assert.equal(reply.code, 0);
assert.match(reply.stdout.toString("utf8"), /hello from the demo/);
assert.equal((await client("claude", "stop", processId)).code, 0);

say("5. What the cloud has been told meanwhile");
const types = await eventTypesUntil("process_end", 3);
for (const [type, count] of Object.entries(types)) say(`   ${type.padEnd(16)} ${count}`);
say("\nDone: enrolled, executed, refused, talked, reported.");

/** Follows the cloud's own stream of events until the given one has come often enough. */
async function eventTypesUntil(wanted: string, times: number): Promise<Record<string, number>> {
  const { readFileSync } = await import("node:fs");
  const response = await fetch(`${cloud.ready.url}/v1/instances/${instanceId}/events?after=0`, {
    headers: { accept: "text/event-stream", authorization: `Bearer ${readFileSync(operatorTokenFile, "utf8").trim()}` },
    signal: AbortSignal.timeout(30_000),
  });
  assert.ok(response.ok && response.body !== null, `the event stream answered ${response.status}`);
  const seen: Record<string, number> = {};
  let text = "";
  for await (const piece of response.body.pipeThrough(new TextDecoderStream())) {
    text += piece;
    const lines = text.split("\n");
    text = lines.pop() ?? "";
    for (const line of lines) {
      const type = line.startsWith("data:")
        ? (JSON.parse(line.slice(5)) as { event_type?: string }).event_type
        : undefined;
      if (type !== undefined) seen[type] = (seen[type] ?? 0) + 1;
    }
    if ((seen[wanted] ?? 0) >= times) return seen;
  }
  throw new Error(`the stream of events ended before ${times} ${wanted} had come`);
}
