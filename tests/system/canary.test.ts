/**
 * Goal: X4: a secret that is placed wherever one can be is afterwards in no log, no database, no event, no error, no title, no environment of our
 * programs and no core. Method: the real programs, the log at its most talkative; every byte below both homes is searched, packed files
 * unpacked, while everything runs and once more behind the end.
 *
 * Left out, and why: the configuration that the test itself has written; `data/auth`, which is where tokens live (0600); the workspace, which is the
 * callers'; and what a command or an agent has written itself, which its caller gets exactly (P6): of that the modes are looked at. The agent's
 * and the command's own process has its environment and its arguments, as every process has.
 */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { gunzipSync } from "node:zlib";
import { FakeAgents } from "@hl/testkit/fake-agent.ts";
import { http } from "@hl/testkit/http.ts";
import { CallFailed, connectSocket, type Message } from "@hl/testkit/message-client.ts";
import { noProcessOf, processesOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

/** Known to the daemon, as the value of a variable whose name says so. It needs escaping in JSON and in URLs. */
const canary = 'Cana/ry+"01234567"&z';
/** Of the configuration. */
const configured = "sk-ant-canary-of-the-configuration";
/** Never a valid token, so the daemon cannot know it: it is to be written nowhere. */
const stranger = "canary-of-somebody-unknown-9876543210";

function formsOf(text: string): string[] {
  const base64 = (before: number): string =>
    Buffer.concat([Buffer.alloc(before), Buffer.from(text)])
      .toString("base64")
      .slice(before === 0 ? 0 : 4, -4);
  const json = JSON.stringify(text).slice(1, -1);
  return [
    ...new Set([text, json, JSON.stringify(json).slice(1, -1), encodeURIComponent(text), ...[0, 1, 2].map(base64)]),
  ];
}

function filesBelow(folder: string, leftOut: RegExp): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => !leftOut.test(relative(folder, path)));
}

/** Where one of the texts is, in any form; also in a file's name. */
function leaksBelow(folder: string, leftOut: RegExp, texts: readonly string[]): string[] {
  return filesBelow(folder, leftOut).flatMap((path) => {
    if (!existsSync(path)) return []; // Packed meanwhile.
    const bytes = readFileSync(path);
    const plain = path.endsWith(".gz") ? gunzipSync(bytes) : bytes;
    return texts
      .flatMap(formsOf)
      .filter((form) => plain.includes(form) || path.includes(form))
      .map((form) => `${path}: ${form}`);
  });
}

const read = (pid: number, name: string): string => {
  try {
    return readFileSync(`/proc/${pid}/${name}`, "utf8");
  } catch {
    return ""; // It has ended.
  }
};

test("X4: a secret, wherever it is placed, is found nowhere", async () => {
  await using agents = await FakeAgents.start();
  using folder = temporaryFolder("hl-fake");
  const agentConfig = agents.config(folder.path);
  await using system = await startSystem({
    config: {
      logging: { level: "TRACE", max_size: 65_536, audit: { max_size: 4_096 } },
      process_management: { allowed_commands: ["sh", "sleep"], environment: { DEPLOY_PASSWORD: configured } },
      claude_integration: {
        ...agentConfig,
        environment: { ...agentConfig.environment, ANTHROPIC_AUTH_TOKEN: configured },
      },
    },
  });
  const { daemon, cloud, operator } = system;
  const leftOut = /^(config|data\/auth|workspace)\/|^data\/runner\/[^/]+\/log\.\d+$/;
  const texts = [canary, configured, stranger, daemon.token];
  const events: Message[] = [];
  const errors: unknown[] = [];
  using watcher = await daemon.connect();
  watcher.listener = (message) => {
    if (message.method === "event/event" || message.method === "claude/event") events.push(message);
    return message.method !== undefined;
  };
  await watcher.call("event/subscribe", { from_seq: 0 }).catch((error: unknown) => errors.push(error));
  using client = await daemon.connect();
  const fails = async (call: Promise<unknown>): Promise<void> => {
    await assert.rejects(call, (error) => {
      errors.push(error instanceof CallFailed ? error.error : error);
      return true;
    });
  };

  // Environment, arguments, output, a password in a URL: of a command that goes on, so that its secrets are known.
  const env = { SECRET_TOKEN: canary, DB_URL: `pg://me:${configured}@db/x` };
  await client.call("command/execute", { command_id: "on", command: "sleep", args: ["600"], env, wait: 0 });
  const script = 'printf %s "$SECRET_TOKEN"; printf %s "$1" >&2';
  const ran = await client.call("command/execute", {
    ...{ command_id: "prints", command: "sh", args: ["-c", script, "sh", canary], env },
  });
  assert.deepEqual([ran.stdout, ran.stderr], [canary, canary], "its own caller gets it as it is");
  // Errors that quote what they failed on; names of files.
  await fails(client.call("command/execute", { command_id: "no", command: canary }));
  await fails(
    client.call("command/execute", { command_id: "no-2", command: "sh", args: [], cwd: `nowhere/${canary}` }),
  );
  await fails(client.call("command/status", { command_id: canary }));
  await fails(client.call("file/read", { path: `nowhere/${canary}` }));
  await fails(client.call("file/read", { path: `/etc/${canary}` }));
  await fails(client.call("claude/status", { process_id: canary }));
  await fails(client.call("command/execute", { command_id: "no-3", command: "sh", args: canary }));
  mkdirSync(join(daemon.workspace, "files"));
  await client.call("file/write", { path: "files/named", data: canary });
  await client.call("event/stream", {
    ...{ event_id: "note", event_type: "test.note", timestamp: 1 },
    data: { [canary]: [canary, encodeURIComponent(canary), JSON.stringify({ canary })], token: daemon.token },
  });
  // Tokens that are none.
  const wrong = await http(`${daemon.url}/rpc?token=${stranger}`, { body: { jsonrpc: "2.0" }, token: stranger });
  assert.equal(wrong.status, 401);
  const jwt = `${Buffer.from('{"alg":"none"}').toString("base64url")}.${Buffer.from(`{"sub":"${stranger}"}`).toString("base64url")}.`;
  assert.equal((await http(`${daemon.url}/rpc`, { body: {}, token: jwt })).status, 401);
  await assert.rejects(connectSocket(daemon.program.ready.socket, stranger));
  await fails(client.call("auth/login", { token: stranger }));
  // An agent: what it is asked, what it says whole and in pieces, its tools, its noise.
  const starting = client.call("claude/start", {
    workspace_path: daemon.workspace,
    environment: { AGENT_SECRET: canary },
  });
  const agent = await agents.next();
  await agent.initialized(1);
  const { process_id } = await starting;
  await watcher.call("claude/subscribe", { process_id, from_seq: 1 });
  client.call("claude/relay", { process_id, message: `use ${canary}` }).catch(() => {});
  await agent.prompt(1);
  agent.claude.start();
  const of = { session_id: "s1", parent_tool_use_id: null };
  const delta = (text: string): object => ({
    ...{ type: "stream_event", ...of, event: { type: "content_block_delta", delta: { type: "text_delta", text } } },
  });
  for (const character of `I have ${canary} and`) agent.claude.say(delta(character));
  const content = [
    { type: "text", text: `I have ${canary}` },
    { type: "tool_use", id: "t1", name: "Bash", input: { command: `curl -H ${canary}` } },
  ];
  agent.claude.say({ type: "assistant", ...of, message: { role: "assistant", content, stop_reason: null } });
  await agent.write(`noise ${canary}\n`);
  await until("what the agent says", () => events.some(({ params }) => params.type === "message"));
  agent.claude.finish(`done with ${canary}`);
  await until("the end of the turn", () => events.some(({ params }) => params.type === "turn_completed"));
  const deltas = events.flatMap(({ params }) => (params.type === "delta" ? [params.data.text as string] : []));
  assert.equal(deltas.join(""), "I have [redacted:SECRET_TOKEN] and");
  const told = await operator.event(({ event_id }) => event_id === "note");
  assert.ok(JSON.stringify(told).includes("[redacted:SECRET_TOKEN]"));
  await operator.event(({ event_type }) => event_type === "agent.turn_completed");
  const shown = await client.call("system/config/get", {});
  const health = await client.call("system/health", { detailed: true });
  const list = await client.call("command/list", {});
  daemon.program.signal("SIGUSR2"); // Its whole state goes into the log.
  await until("the state", () => daemon.log.includes("as asked by SIGUSR2"));

  // No error, event or answer that is not the caller's own output.
  const said = JSON.stringify({ errors, events, health, shown });
  for (const form of texts.flatMap(formsOf)) assert.ok(!said.includes(form), `${form} was told`);
  assert.ok(JSON.stringify(errors).includes("[redacted:SECRET_TOKEN]"), "no error quoted what it failed on");
  assert.ok(JSON.stringify(list).includes("prints"));

  // No file, while everything runs.
  const leaks = (home: string, without: RegExp): Promise<string[]> =>
    until("a look at every file, of which some go meanwhile", () => leaksBelow(home, without, texts));
  assert.deepEqual(await leaks(daemon.home, leftOut), []);
  assert.deepEqual(await leaks(cloud.home, /^$/), []);
  const audit = join(daemon.home, "logs/audit.log");
  await until("the audit", () => existsSync(audit) && readdirSync(join(daemon.home, "logs")).length > 2);

  // What a command has written is its own: nobody may look but the users of the runner and of the daemon, who share a group.
  const runs = join(daemon.home, "data/runner");
  const logs = filesBelow(runs, /^$/).filter((path) => /log\.\d+$/.test(path));
  assert.ok(logs.length >= 3);
  for (const path of [runs, ...logs.flatMap((log) => [log, dirname(log)])]) {
    const { mode } = statSync(path);
    assert.equal(mode & 0o027, 0, `${path} has the mode ${(mode & 0o777).toString(8)}`);
  }

  // No title, name or environment of a program of ours, and no core of any.
  const ours = processesOf(daemon.home).filter(
    ({ pid }) =>
      pid === daemon.pid || read(pid, "comm").startsWith("hl-") || read(pid, "cmdline").includes("hl-runner"),
  );
  assert.ok(ours.length >= 4, `the daemon, the resident, and a shim each: ${JSON.stringify(ours)}`);
  for (const { pid } of ours) {
    for (const name of ["cmdline", "comm", "environ", "status"]) {
      for (const form of texts.flatMap(formsOf))
        assert.ok(!read(pid, name).includes(form), `${name} of ${pid}: ${form}`);
    }
  }
  for (const { pid } of processesOf(daemon.home)) {
    const isCoreless =
      /^Max core file size +0 +0 /m.test(read(pid, "limits")) || /^0+$/m.test(read(pid, "coredump_filter").trim());
    assert.ok(isCoreless || read(pid, "limits") === "", `${read(pid, "comm")} would leave a core`);
  }
  for (const form of texts.flatMap(formsOf))
    assert.ok(!readFileSync("/proc/sys/kernel/core_pattern", "utf8").includes(form));

  // And once more behind the end, when everything has been written out.
  await client.call("command/cancel", { command_id: "on" });
  await daemon.program.stop();
  await noProcessOf(daemon.home);
  assert.deepEqual(await leaks(daemon.home, leftOut), []);
  assert.deepEqual(await leaks(cloud.home, /^$/), []);
});
