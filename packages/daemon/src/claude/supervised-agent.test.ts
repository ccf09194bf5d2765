/**
 * Goal: A2: an agent that ends unasked is started again with its session, as often and as slowly as configured; what was in flight is told
 * as failed and never sent again; and the next daemon goes on in the same state. Method: tables of agents over the real hl-runner and one
 * database, agents that say what the test wants, and a clock moved by hand.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { chmodSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";
import type { FakeAgent } from "@hl/testkit/fake-agent.ts";
import { setUpAgents, type Fixture, type Life } from "./agents.fixture.test.ts";
import { earlierLivesKept } from "./agent-runs.ts";
import type { AgentEvent } from "./agent.ts";
import type { EventPlace } from "./event-place.ts";
import type { SupervisionEvent } from "./supervision-event.ts";

const delayMs = 10_000;
const restart = { enabled: true, attemptsMax: 3, delayMs };

interface Supervised extends Life {
  readonly clock: ManualClock;
  readonly supervised: SupervisionEvent[];
}

describe("agents that end unasked", () => {
  let f: Fixture;
  beforeEach(async () => void (f = await setUpAgents()));
  afterEach(() => f[Symbol.asyncDispose]());

  const life = (options: Parameters<Fixture["life"]>[0] = {}): Supervised => {
    const clock = new ManualClock();
    const supervised: SupervisionEvent[] = [];
    const onSupervision = (_: unknown, event: SupervisionEvent): void => void supervised.push(event);
    return { ...f.life({ clock, restart, onSupervision, ...options }), clock, supervised };
  };
  const state = (of: Life, processId: string): string => of.agents.get(processId).facts.state;
  const recordOf = (processId: string) => f.records.all().find((record) => record.processId === processId);
  const kill = async (of: Life, processId: string): Promise<void> => {
    const { pid } = of.agents.get(processId).facts;
    process.kill(pid, "SIGKILL");
    await until("its end is told", () => state(of, processId) !== "idle" && state(of, processId) !== "running");
  };
  const waits = (of: Supervised): Promise<unknown> => until("it waits", () => of.clock.timers > 0);
  const turn = async (of: Life, processId: string, fake: FakeAgent, text: string, relayId = randomUUID()) => {
    const answer = of.relay(processId, text, relayId);
    await fake.prompt(fake.claude.prompts.length + 1);
    fake.claude.start();
    fake.claude.finish(`echo: ${text}`);
    return answer;
  };
  const again = async (of: Supervised, processId: string, ms = delayMs): Promise<FakeAgent> => {
    await waits(of);
    await of.clock.advance(ms);
    const fake = await f.fakes.next();
    await fake.initialized(1);
    await until("it is ready", () => state(of, processId) === "idle");
    await until("that is recorded", () => recordOf(processId)?.readyMs !== undefined);
    return fake;
  };
  const argumentsOf = (of: Life, processId: string): string[] =>
    readFileSync(`/proc/${of.agents.get(processId).facts.pid}/cmdline`, "utf8").split("\0");

  test("A2: killed at idle it comes back after the delay, with its session, and earlier relay ids keep their answers", async () => {
    const one = life();
    const { fake, processId } = await f.start(one);
    const relayId = randomUUID();
    await turn(one, processId, fake, "hello", relayId);
    const { pid } = one.agents.get(processId).facts;
    await kill(one, processId);
    await waits(one);
    assert.equal(state(one, processId), "restarting");
    assert.ok(!isRunning(pid));
    assert.equal((await one.relay(processId, "hello", relayId)).text, "echo: hello");
    await assert.rejects(one.relay(processId, "more", randomUUID()), ({ type, facts }: never) => {
      assert.deepEqual([type, (facts as { sent: boolean }).sent], ["claude_exited", false]);
      return true;
    });
    await assert.rejects(one.agents.get(processId).interrupt(), { type: "claude_exited" });
    await one.clock.advance(delayMs - 1);
    assert.equal(state(one, processId), "restarting");
    const next = await again(one, processId, 1);
    const { restarts, sessionId } = one.agents.get(processId).facts;
    assert.deepEqual([restarts, sessionId], [1, "s1"]);
    assert.equal(one.agents.list()[0]?.restarts, 1);
    const args = argumentsOf(one, processId);
    assert.equal(args[args.indexOf("--resume") + 1], "s1");
    assert.equal((await turn(one, processId, next, "again")).text, "echo: again");
    assert.equal((await one.relay(processId, "hello", relayId)).text, "echo: hello");
    assert.equal(next.claude.prompts.length, 1);
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    assert.deepEqual(
      one.supervised.map((event) => [
        event.type,
        "will_restart" in event ? event.will_restart : "resumed" in event && event.resumed,
      ]),
      [
        ["agent.ready", false],
        ["agent.exited", true],
        ["agent.ready", true],
        ["agent.exited", false],
      ],
    );
    const [, exited] = one.supervised;
    assert.ok(exited?.type === "agent.exited");
    const { code, signal, restart_in_ms, attempt } = exited;
    assert.deepEqual([code, signal, restart_in_ms, attempt], [null, 9, delayMs, 1]);
    assert.deepEqual(one.told, ["start", "turn-1", "end 137", "start", "turn-2", "end 137"]);
  });

  test("A2: killed in a turn: its relay fails as sent, the one behind it as not sent, and neither is sent again by itself", async () => {
    const one = life();
    const { fake, processId } = await f.start(one);
    const [first, second] = [randomUUID(), randomUUID()];
    const failed = Promise.allSettled([one.relay(processId, "one", first), one.relay(processId, "two", second)]);
    await fake.prompt(1);
    fake.claude.start();
    await kill(one, processId);
    const outcomes = (await failed).map((outcome) => {
      assert.ok(outcome.status === "rejected");
      const { type, facts } = outcome.reason as { type: string; facts: { sent: boolean } };
      return [type, facts.sent];
    });
    assert.deepEqual(outcomes, [
      ["claude_exited", true],
      ["claude_exited", false],
    ]);
    const next = await again(one, processId);
    await assert.rejects(one.relay(processId, "one", first), /it is not sent again/);
    assert.equal(next.claude.prompts.length, 0);
    assert.equal((await turn(one, processId, next, "two", second)).text, "echo: two");
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("A3: a request of the next process under an id of the last one is another request", async () => {
    const asked: string[] = [];
    const judge = {
      ask: (_: unknown, { agentRequestId }: { agentRequestId: string }) => {
        asked.push(agentRequestId);
        return Promise.resolve({ behavior: "deny", message: "no" } as const);
      },
      judge: () => undefined,
      attached: () => {},
    };
    const one = life({ judge });
    const { fake, processId } = await f.start(one);
    fake.claude.ask("1");
    await fake.got(({ type }) => type === "control_response");
    await kill(one, processId);
    const next = await again(one, processId);
    next.claude.ask("1");
    await next.got(({ type }) => type === "control_response");
    assert.deepEqual(asked, ["1", "1/1"]);
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("A2: stopped while it waits, it is over, and nothing is started", async () => {
    const one = life();
    const { processId } = await f.start(one);
    await kill(one, processId);
    await waits(one);
    assert.equal(await one.agents.get(processId).stop({ force: false, timeoutMs: 1_000 }), false);
    assert.deepEqual([state(one, processId), one.clock.timers], ["ended", 0]);
    assert.equal(one.supervised.at(-1)?.type, "agent.restart_cancelled");
    const next = life();
    await next.agents.recover();
    assert.equal(state(next, processId), "ended");
    await assert.rejects(next.relay(processId, "x", randomUUID()), { type: "claude_exited" });
  });

  test("A2: one that ends at once each time is given up after the attempts, each behind a longer delay", async () => {
    const one = life();
    const { processId } = await f.start(one);
    const exits = () => one.supervised.filter((event) => event.type === "agent.exited");
    await kill(one, processId);
    for (const [n, ms] of [delayMs, 2 * delayMs, 4 * delayMs].entries()) {
      await until("its end", () => exits().length === n + 1);
      await waits(one);
      await one.clock.advance(ms - 1);
      assert.deepEqual([state(one, processId), one.agents.get(processId).facts.restarts], ["restarting", n]);
      await one.clock.advance(1);
      (await f.fakes.next()).end(); // Before it was ready.
    }
    await one.agents.get(processId).ended;
    assert.deepEqual([state(one, processId), one.agents.get(processId).facts.restarts], ["ended", 3]);
    assert.ok(one.agents.lastFailed);
    assert.deepEqual(
      exits().map(({ attempt }) => attempt),
      [1, 2, 3, undefined],
    );
  });

  test("A2: with restart_on_failure off it has ended, and a start that fails is not tried again", async () => {
    const off = life({ restart: { ...restart, enabled: false } });
    const { processId } = await f.start(off);
    await kill(off, processId);
    await off.agents.get(processId).ended;
    assert.deepEqual([state(off, processId), off.clock.timers], ["ended", 0]);
    const one = life();
    const starting = one.agents.start({ workspace_path: join(f.root, "work") });
    (await f.fakes.next()).end();
    await assert.rejects(starting, { type: "claude_unavailable" });
    assert.equal(one.clock.timers, 0);
  });

  test("A2: a session that the agent does not have any more is told, and a new one is begun at once", async () => {
    const binaryPath = join(f.root, "forgetful-agent");
    const text = readFileSync(join(f.root, "fake-agent"), "utf8");
    const forget = 'case "$*" in *--resume*) echo "No conversation found with session ID: s1" >&2; exit 1;; esac\n';
    writeFileSync(binaryPath, text.replace("\n", `\n${forget}`));
    chmodSync(binaryPath, 0o755);
    const one = life({ binaryPath, protocol: "stream-json" });
    const { fake, processId } = await f.start(one);
    await turn(one, processId, fake, "hello");
    await kill(one, processId);
    await waits(one);
    await one.clock.advance(delayMs); // The one that is to resume ends by itself, the next needs no delay.
    const connected = f.fakes.next();
    const fresh = await until("a new one", async () => {
      await one.clock.advance(1);
      return Promise.race([connected, Promise.resolve(undefined)]);
    });
    await fresh.initialized(1);
    await until("it is ready", () => state(one, processId) === "idle");
    const ready = one.supervised.at(-1);
    assert.ok(ready?.type === "agent.ready");
    assert.deepEqual([ready.resumed, ready.previous_session_id], [false, "s1"]);
    const args = argumentsOf(one, processId);
    assert.equal(args[args.indexOf("--session-id") + 1], one.agents.get(processId).facts.sessionId);
    assert.equal((await turn(one, processId, fresh, "anew")).text, "echo: anew");
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("P3, A2: one that died while no daemon lived is started again by the next, and one that waited waits on", async () => {
    const one = life();
    const { fake, processId } = await f.start(one);
    await turn(one, processId, fake, "hello");
    await until("it is recorded", () => recordOf(processId)?.turns === 1);
    const { pid } = one.agents.get(processId).facts;
    await one.agents.drain(false);
    process.kill(pid, "SIGKILL");
    await until("it has ended", () => !isRunning(pid));
    const two = life();
    await two.agents.recover();
    await waits(two);
    assert.deepEqual([state(two, processId), two.told], ["restarting", ["end 137"]]);
    await two.agents.drain(false);
    assert.equal(two.clock.timers, 0);
    const three = life();
    await three.agents.recover();
    assert.deepEqual([state(three, processId), three.told, three.supervised], ["restarting", [], []]);
    const next = await again(three, processId);
    assert.equal((await turn(three, processId, next, "again")).text, "echo: again");
    assert.deepEqual([three.agents.get(processId).facts.restarts, three.told], [1, ["start", "turn-2"]]);
    await three.agents.drain(false);
    const four = life();
    await four.agents.recover();
    assert.equal(four.agents.get(processId).facts.turns, 2);
    const answer = four.relay(processId, "and again", randomUUID());
    await next.initialized(2);
    await next.prompt(2);
    next.claude.finish("still there");
    assert.equal((await answer).text, "still there");
    await four.agents.get(processId).stop({ force: true, timeoutMs: 0 });
  });

  test("P3: a daemon that goes between the record of a process and its start counts that as an attempt", async () => {
    const one = life();
    const { processId } = await f.start(one);
    await one.agents.drain(false);
    const { pid, sessionId } = one.agents.get(processId).facts;
    process.kill(pid, "SIGKILL");
    await until("it has ended", () => !isRunning(pid));
    await f.records.beginLife(processId, 1, sessionId);
    const two = life();
    await two.agents.recover();
    const next = await again(two, processId);
    assert.equal(two.agents.get(processId).facts.restarts, 2);
    await two.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    next.destroy();
  });

  test("X4, A2: secrets of the caller are not in the record; a later daemon takes them from the process, and where there is none it gives up", async () => {
    const secrets = {
      ...{ hold: () => {}, holdRunning: () => true, release: () => {} },
      namesIn: (all: object) => Object.keys(all).filter((name) => name === "MY_KEY"),
    };
    const environmentOf = (pid: number): Record<string, string> | undefined => {
      if (!isRunning(pid)) return undefined;
      const entries = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      return Object.fromEntries(entries.map((entry) => entry.split("=", 2) as [string, string]));
    };
    const one = life({ secrets });
    const environment = { MY_KEY: "hush-hush", OTHER: "1" };
    const starting = one.agents.start({ workspace_path: join(f.root, "work"), environment });
    await (await f.fakes.next()).initialized(1);
    const { processId } = (await starting).facts;
    await kill(one, processId);
    await again(one, processId);
    const launch = recordOf(processId)?.launch ?? "";
    assert.ok(!launch.includes("hush-hush") && launch.includes('"OTHER":"1"'));
    await one.agents.drain(false);

    const two = life({ secrets: { ...secrets, environmentOf } });
    await two.agents.recover();
    await kill(two, processId);
    await again(two, processId, 2 * delayMs);
    const { pid } = two.agents.get(processId).facts;
    const { MY_KEY, OTHER } = environmentOf(pid) ?? {};
    assert.deepEqual({ MY_KEY, OTHER }, environment);
    await two.agents.drain(false);

    process.kill(pid, "SIGKILL");
    await until("it has ended", () => !isRunning(pid));
    const three = life({ secrets: { ...secrets, environmentOf } });
    await three.agents.recover();
    await three.agents.get(processId).ended;
    assert.equal(state(three, processId), "ended");
    const exited = three.supervised.find((event) => event.type === "agent.exited");
    assert.equal(exited?.will_restart, false);
  });

  test("X4: whether all secrets of a process are known is told with all it says: not of one that ended unseen, nor where they cannot be held", async () => {
    const known: boolean[] = [];
    const onEvent = (_: unknown, { type }: AgentEvent, at: EventPlace): void => {
      if (type === "agent.status") known.push(at.areSecretsKnown);
    };
    const secrets = {
      ...{ hold: () => {}, holdRunning: () => true, release: () => {}, environmentOf: () => ({ MY_KEY: "hush-hush" }) },
      namesIn: (all: object) => Object.keys(all).filter((name) => name === "MY_KEY"),
    };
    const one = life({ secrets });
    const environment = { MY_KEY: "hush-hush" };
    const starting = one.agents.start({ workspace_path: join(f.root, "work"), environment });
    const fake = await f.fakes.next();
    await fake.initialized(1);
    const { processId, pid } = (await starting).facts;
    await one.agents.drain(false);
    const cases = [
      [secrets, true],
      [{ ...secrets, holdRunning: () => false }, false],
      [{ ...secrets, environmentOf: () => undefined }, false],
    ] as const;
    for (const [holder, expected] of cases) {
      known.length = 0;
      const next = life({ secrets: holder, onEvent });
      await next.agents.recover();
      fake.claude.say({ type: "system", subtype: "status", status: "x", session_id: `of ${String(expected)}` });
      await until("it is told", () => known.length > 0);
      assert.deepEqual(new Set(known), new Set([expected]));
      await next.agents.drain(false);
    }
    known.length = 0;
    fake.claude.say({ type: "system", subtype: "status", status: "y", session_id: "of true" });
    process.kill(pid, "SIGKILL");
    await until("it has ended", () => !isRunning(pid));
    const last = life({ secrets: { ...secrets, environmentOf: () => undefined }, onEvent });
    await last.agents.recover();
    await last.agents.get(processId).ended;
    assert.deepEqual(new Set(known), new Set([false]));
    const exited = last.supervised.find((event) => event.type === "agent.exited");
    assert.equal(exited?.stderr_tail, "[withheld]");
  });

  test("a session has one process: a start that would go on with that of a live agent is refused, and starts count as agents", async () => {
    const one = life({ agentsMax: 2 });
    const { fake, processId } = await f.start(one);
    await turn(one, processId, fake, "hello");
    const workspace_path = join(f.root, "work");
    await assert.rejects(one.agents.start({ workspace_path, resume: "s1" }), { type: "claude_session_in_use" });
    await kill(one, processId);
    await assert.rejects(one.agents.start({ workspace_path, resume: "s1" }), { type: "claude_session_in_use" });
    const starting = one.agents.start({ workspace_path, resume: "s2" });
    await assert.rejects(one.agents.start({ workspace_path, resume: "s2" }), { type: "process_limit" });
    await (await f.fakes.next()).initialized(1);
    const other = await starting;
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    await assert.rejects(one.agents.start({ workspace_path, resume: "s2" }), { type: "claude_session_in_use" });
    await other.stop({ force: true, timeoutMs: 0 });
  });

  const watch = { intervalMs: 60_000, pingMsMax: 15_000, memoryAlertBytes: 1024 };
  const ping = ({ request }: { request?: { subtype?: string } }): boolean => request?.subtype === "get_binary_version";

  test("A2: one that answers no ping, in a turn or not, is stuck: told, ended and started again; answered pings keep a long turn", async () => {
    const one = life({ watch });
    const { fake, processId } = await f.start(one);
    const { facts } = one.agents.get(processId);
    const failed = one.relay(processId, "long", randomUUID(), 10_000_000).catch((error: unknown) => error);
    await fake.prompt(1);
    fake.claude.start();
    for (const n of [1, 2, 3]) {
      facts.memory = undefined;
      await one.clock.advance(watch.intervalMs);
      await fake.got(ping, n);
      fake.claude.answer("get_binary_version");
      await until("it is measured, so answered", () => facts.memory !== undefined);
    }
    assert.deepEqual([facts.isStuck, facts.restarts], [false, 0]);
    await one.clock.advance(watch.intervalMs + 2 * watch.pingMsMax);
    assert.ok(facts.isStuck);
    assert.match(String(await failed), /ended/);
    const next = await again(one, processId);
    assert.deepEqual([facts.isStuck, facts.restarts], [false, 1]);
    const stuck = one.supervised.find((event) => event.type === "agent.stuck");
    assert.equal(stuck?.unanswered_ms, 2 * watch.pingMsMax);
    const exited = one.supervised.find((event) => event.type === "agent.exited");
    assert.deepEqual([exited?.reason, exited?.expected, exited?.will_restart], ["stuck", false, true]);
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    assert.equal(one.clock.timers, 0);
    next.destroy();
  });

  test("memory of an agent's tree is seen at each ping, and told when it passes the limit", async () => {
    const one = life({ watch });
    const { fake, processId } = await f.start(one);
    await one.clock.advance(watch.intervalMs);
    await fake.got(ping);
    fake.claude.answer("get_binary_version");
    const high = await until("it is told", () => one.supervised.find((event) => "memory_mb" in event));
    assert.equal(high.type, "agent.memory_high");
    assert.ok(high.memory_mb > 0);
    assert.equal(one.agents.list()[0]?.memory_mb, high.memory_mb);
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    assert.equal(one.agents.list()[0]?.memory_mb, undefined);
  });

  test("P7: logs of processes long gone are removed, those of the last ones with the agent", async () => {
    const one = life({ restart: { ...restart, attemptsMax: 100, delayMs: 0 } });
    const { processId } = await f.start(one);
    for (let n = 0; n < earlierLivesKept + 2; n += 1) {
      await kill(one, processId);
      await again(one, processId, 0);
    }
    const runs = async (): Promise<string[]> => (await f.runner.list()).filter((id) => id.startsWith(processId));
    await until("the oldest are gone", async () => (await runs()).length === earlierLivesKept + 1);
    await one.agents.get(processId).stop({ force: true, timeoutMs: 0 });
    const next = life();
    await next.agents.recover();
    assert.equal((await runs()).length, earlierLivesKept + 1);
  });
});
