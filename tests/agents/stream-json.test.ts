/**
 * Goal: the stream-json adapter holds its promises with the real Claude Code at the other end. Method: the pinned program as a bare
 * child process, its pipes joined to the adapter, the model's API stubbed.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { access } from "node:fs/promises";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import {
  AgentFailure,
  type AgentEvent,
  type JsonRpcAnswer,
  type PermissionRequest,
  type RelayResult,
} from "@hl/daemon/claude/agent.ts";
import type { StreamJsonOptions } from "@hl/daemon/claude/stream-json-options.ts";
import { StreamJsonAgent } from "@hl/daemon/claude/stream-json.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import { until, within } from "@hl/testkit/waiting.ts";
import { spawnClaude, type SpawnOptions } from "./raw-claude.ts";

const limitMs = 90_000;

describe("stream-json adapter with the real Claude Code", () => {
  test("initialize, ping, system/info, a turn with its events, and the end of the session", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    const info = await claude.agent.initialize(limitMs);
    assert.deepEqual([info.agent_version, info.pid, info.state], ["2.1.330", claude.child.pid, "idle"]);
    assert.ok((await claude.agent.ping(limitMs)) < limitMs);
    const system = { jsonrpc: "2.0", id: "claude-test", method: "system/info", params: {} };
    const answer = (await claude.agent.relay(system, { relayId: "i", timeoutMs: limitMs })) as JsonRpcAnswer;
    assert.deepEqual([answer.id, (answer.result as { pid: number }).pid], ["claude-test", claude.child.pid]);

    const result = await claude.relay("hello", { relayId: "r1" });
    assert.deepEqual([result.text, result.is_error, result.stop_reason], ["echo: hello", false, "end_turn"]);
    assert.equal(await claude.relay("hello", { relayId: "r1" }).then((again) => again.duplicate), true);
    const types = new Set(claude.events.map((event) => event.type));
    assert.deepEqual(
      ["agent.ready", "agent.status", "agent.delta", "agent.message", "agent.turn_completed"].filter(
        (type) => !types.has(type as AgentEvent["type"]),
      ),
      [],
    );
    assert.ok(
      claude.events.filter((event) => event.type === "agent.turn_completed").every((event) => event.relayId === "r1"),
    );
    await claude.agent.endSession();
    assert.deepEqual(await claude.exited, { code: 0, signal: null });
    assert.equal(api.calls, 1);
  });

  test("two relays at once get two answers", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    const [one, two] = await Promise.all([
      claude.relay("one"),
      claude.relay({ type: "user", message: { role: "user", content: "two" } }),
    ]);
    assert.deepEqual([one.text, two.text], ["echo: one", "echo: two"]);
  });

  test("a string that looks like a broken line does not end the agent", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    assert.equal((await claude.relay('not JSON\n{"type":"user"}\n')).text, 'echo: not JSON\n{"type":"user"}\n');
    assert.equal((await claude.relay("still there?")).text, "echo: still there?");
  });

  test("A3: a permission is asked for, allowed, remembered for the session, and denied elsewhere", async () => {
    await using api = await startModelApi();
    const asked: PermissionRequest[] = [];
    await using claude = await start(api, {
      onPermission: async (request) => {
        asked.push(request);
        const allowed = String(request.input["command"]).includes("made");
        return allowed ? { behavior: "allow", remember: "session" } : { behavior: "deny", message: "not that one" };
      },
    });
    assert.match((await claude.relay("!bash touch made.txt", { relayId: "r1" })).text, /^tool result/u);
    await access(join(claude.cwd, "made.txt"));
    assert.deepEqual([asked[0]!.toolName, asked[0]!.relayId, asked[0]!.canRemember], ["Bash", "r1", true]);
    await claude.relay("!bash touch made.txt");
    assert.equal(asked.length, 1);
    const denied = await claude.relay("!bash touch other.txt");
    assert.deepEqual([denied.text, denied.permission_denials?.length], ["tool error: not that one", 1]);
    await assert.rejects(access(join(claude.cwd, ".claude")), { code: "ENOENT" });
  });

  test("A3: with nobody to ask, the tool is denied", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    assert.match((await claude.relay("!bash touch made.txt")).text, /^tool error: Nobody can be asked/u);
    await assert.rejects(access(join(claude.cwd, "made.txt")), { code: "ENOENT" });
  });

  test("A1: a timeout interrupts the turn, gives what had come, and leaves the agent usable", async () => {
    await using api = await startModelApi();
    const clock = new ManualClock();
    await using claude = await start(api, { clock });
    await claude.agent.initialize(limitMs);
    await claude.relay("warm up");
    const before = claude.events.length;
    const relayed = claude.relay("!slow 60000", { timeoutMs: 3_000 }).catch((reason: unknown) => reason);
    await until("a first word", () => claude.events.slice(before).some(({ type }) => type === "agent.delta"));
    await clock.advance(3_000);
    const error = await within("the end of the turn", relayed);
    assert.ok(error instanceof AgentFailure);
    assert.deepEqual([error.kind, error.facts.turnEnded], ["timeout", true]);
    assert.match(error.facts.partialText ?? "", /^tick/u);
    assert.equal((await claude.relay("next")).text, "echo: next");
  });

  test("an interrupt right after a relay takes it back before it starts", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    await claude.agent.initialize(limitMs);
    const answer = claude.relay("!slow 60000");
    await claude.agent.interrupt();
    assert.equal((await answer).error?.kind, "interrupted");
  });

  test("P3: an open permission is taken up by a second adapter on the same process", async () => {
    await using api = await startModelApi();
    const first = Promise.withResolvers<PermissionRequest>();
    await using claude = await start(api, {
      onPermission: (request) => (first.resolve(request), new Promise(() => {})),
    });
    void claude.relay("!bash touch made.txt", { relayId: "r1" }).catch(() => {});
    const open = await first.promise;

    const second = claude.replace({ onPermission: async () => ({ behavior: "allow" }) });
    second.attach();
    second.adopt("r1");
    const adopted = second.relay("!bash touch made.txt", { relayId: "r1", timeoutMs: limitMs }) as Promise<RelayResult>;
    const info = await second.initialize(limitMs);
    assert.equal(info.state, "requires_action");
    assert.match((await adopted).text, /^tool result/u);
    assert.equal(open.toolName, "Bash");
    await access(join(claude.cwd, "made.txt"));
  });

  test("A2: after kill -9 and --resume a finished relay is a duplicate, and the conversation goes on", async () => {
    await using api = await startModelApi();
    const session = randomUUID();
    await using first = await start(api, {}, { arguments: ["--session-id", session] });
    await first.relay("hello", { relayId: "r1" });
    const cut = first.relay("!hang", { relayId: "r2" }).catch((reason: unknown) => reason);
    await api.request(2);
    first.child.kill("SIGKILL");
    const error = (await cut) as AgentFailure;
    assert.deepEqual([error.kind, error.facts.exit?.signal], ["exited", "SIGKILL"]);

    await using second = await start(api, {}, { arguments: ["--resume", session], home: first.home });
    assert.equal((await second.relay("hello", { relayId: "r1" })).duplicate, true);
    const next = await second.relay("again");
    assert.deepEqual([next.text, next.session_id], ["echo: again", session]);
  });

  test("5 MB come through whole, and what the API refuses is a result with is_error", async () => {
    await using api = await startModelApi();
    await using claude = await start(api);
    assert.equal((await claude.relay("!big 5")).text.trimEnd().length, 5 * 1024 * 1024 - 1);
    const refused = await claude.relay("!error 500");
    assert.deepEqual([refused.is_error, refused.error?.kind, refused.error?.status], [true, "api", 500]);
  });
});

type Running = Awaited<ReturnType<typeof spawnClaude>> & {
  readonly agent: StreamJsonAgent;
  readonly events: AgentEvent[];
  relay(message: unknown, options?: { relayId?: string; timeoutMs?: number }): Promise<RelayResult>;
  /** Joins another adapter to the same pipes, as a daemon does that was restarted. */
  replace(options: Partial<StreamJsonOptions>): StreamJsonAgent;
};

async function start(
  api: ModelApi,
  options: Partial<StreamJsonOptions> = {},
  spawning: SpawnOptions = {},
): Promise<Running> {
  const spawned = await spawnClaude(api.url, spawning);
  const { child } = spawned;
  const events: AgentEvent[] = [];
  let stderrTail = "";
  child.stderr.setEncoding("utf8").on("data", (text: string) => (stderrTail = (stderrTail + text).slice(-2_000)));
  const connect = (more: Partial<StreamJsonOptions>): StreamJsonAgent =>
    new StreamJsonAgent({
      write: async (line) => {
        if (!child.stdin.write(line)) await once(child.stdin, "drain");
      },
      clock: systemClock,
      newId: randomUUID,
      lineBytesMax: 64 * 1024 * 1024,
      onEvent: (event) => void events.push(event),
      ...more,
    });
  let agent = connect(options);
  child.stdout.on("data", (chunk: Buffer) => agent.receive(chunk));
  void spawned.exited.then((exit) => agent.closed({ ...exit, stderrTail }));
  return {
    ...spawned,
    agent,
    events,
    relay: async (message, { relayId = randomUUID(), timeoutMs = limitMs } = {}) =>
      (await agent.relay(message, { relayId, timeoutMs })) as RelayResult,
    replace: (more) => (agent = connect(more)),
  };
}
