/**
 * Goal: a command, an event and an agent's turn cross the whole system, as a person at a terminal sees it. Method: hl-client,
 * hl-cloud, hl-daemon, hl-runner and Claude Code as processes; only the model behind the agent is a stub.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import type { Finished } from "@hl/testkit/programs.ts";
import { startSystem, TestDaemon } from "@hl/testkit/system.ts";
import { ensureAgents } from "../agents/install.ts";

describe("end to end", () => {
  test("a command is streamed by hl-client, locally and through the cloud, with its exit code", async () => {
    await using system = await startSystem({ config: { process_management: { allowed_commands: ["git", "sh"] } } });
    const ways = {
      locally: (args: readonly string[]) => system.daemon.client(args),
      "through the cloud": system.client,
    };
    for (const [way, client] of Object.entries(ways)) {
      const git = await client(["exec", "--", "git", "--version"]);
      assert.match(git.stdout.toString(), /^git version \d/, way);
      assert.equal(git.code, 0, way);

      const both = await client(["exec", "--", "sh", "-c", "echo out; echo err >&2; exit 7"]);
      assert.deepEqual([both.stdout.toString(), both.stderr, both.code], ["out\n", "err\n", 7], way);

      const killed = await client(["exec", "--", "sh", "-c", "kill -KILL $$"]);
      assert.equal(killed.code, 128 + 9, way);
    }
  });

  test("sh is refused unless it is allowed, and sudo is blocked, in words and by exit code", async () => {
    await using system = await startSystem();
    for (const client of [(args: readonly string[]) => system.daemon.client(args), system.client]) {
      const refused = await client(["--json", "exec", "--", "sh", "-c", "exit 7"]);
      assert.equal(refused.code, 126);
      assert.equal(errorOf(refused).code, 1102);
      assert.match(errorOf(refused).message, /process_management\.allowed_commands/);

      const blocked = await client(["exec", "--", "sudo", "id"]);
      assert.equal(blocked.code, 126);
      assert.match(blocked.stderr, /blocked/);
      assert.equal(blocked.stdout.length, 0);
    }
  });

  test("S1, S3: events emitted in the VM arrive in the cloud once, in order, with their sequence", async () => {
    await using system = await startSystem();
    const ids = ["e1", "e2", "e3"];
    for (const id of [...ids, "e2"]) {
      const emitted = await system.daemon.client(["events", "emit", "--id", id, "build.finished", `{"id":"${id}"}`]);
      assert.deepEqual([emitted.stdout.toString(), emitted.code], [`accepted ${id}\n`, 0], emitted.stderr);
    }
    // What is accepted after them arrives after them.
    await system.daemon.client(["events", "emit", "--id", "last", "build.finished"]);
    await system.operator.event((event) => event.event_id === "last");

    const events = await system.operator.events();
    const ours = events.filter((event) => event.event_type === "build.finished");
    assert.deepEqual(
      ours.map((event) => event.event_id),
      [...ids, "last"],
    );
    assert.equal(new Set(events.map((event) => event.epoch)).size, 1);
    const sequence = events.map((event) => event.seq as number);
    assert.deepEqual(
      sequence,
      [...sequence].sort((left, right) => left - right),
    );
    assert.equal(new Set(sequence).size, sequence.length);
    assert.deepEqual(ours[1].data, { id: "e2" });
  });

  test("an agent is started, spoken to and stopped through the cloud", async () => {
    await using model = await startModelApi();
    const { claude } = await ensureAgents();
    const claude_integration = {
      binary_path: claude,
      environment: agentEnvironment(model.url),
      start_timeout_seconds: 60,
      stdio_timeout: 60,
    };
    await using system = await startSystem({ config: { claude_integration } });
    const started = await system.client(["claude", "start"]);
    assert.equal(started.code, 0, started.stderr);
    const processId = started.stdout.toString().trim();

    const sent = await system.client(["claude", "send", processId, "hello there"]);
    assert.deepEqual([sent.stdout.toString(), sent.code], ["echo: hello there\n", 0], sent.stderr);

    const stopped = await system.client(["--json", "claude", "stop", processId]);
    assert.equal(stopped.code, 0, stopped.stderr);
    const result = JSON.parse(stopped.stdout.toString());
    assert.deepEqual([result.process_id, result.status, result.exit_code], [processId, "stopped", 0]);
    const { processes } = await system.operator.call("claude/list");
    assert.deepEqual(
      processes.map((agent: { status: string }) => agent.status),
      ["ended"],
    );
  });

  test("hl-client says in one line what is wrong, with a code of its own, when there is nobody to talk to", async () => {
    let home: string;
    {
      await using daemon = await TestDaemon.start();
      home = daemon.home;
      assert.equal((await daemon.client(["status"])).code, 0);
    }
    await using other = await TestDaemon.start();
    const nobody = await other.client(["status"], { env: { HL_DAEMON_HOME: home } });
    assert.equal(nobody.code, 69, nobody.stderr);
  });
});

function errorOf(finished: Finished): { code: number; message: string } {
  return (JSON.parse(finished.stderr) as { error: { code: number; message: string } }).error;
}
