/**
 * Goal: what changes is looked at when it is told, however often that is, and the rest once an interval; a lost connection comes back without end,
 * a first one that fails is told. Method: a scripted daemon on a real socket, time by hand.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { until } from "@hl/testkit/waiting.ts";
import { openConnection } from "../connect/connection.ts";
import { reconnectMs } from "../connect/persist.ts";
import { FakeDaemon, type FakeHandlers } from "../testing/fake-daemon.ts";
import { inProcess } from "../testing/in-process.ts";
import { healthSample, infoSample } from "../testing/samples.ts";
import { Feed } from "./feed.ts";
import type { Sample } from "./sample.ts";
import { listed } from "./samples.fixture.test.ts";

const intervalMs = 60_000;

const handlers: FakeHandlers = {
  "system/info": async () => infoSample,
  "system/health": async () => healthSample,
  "command/list": async () => ({ commands: [listed("c-1")] }),
  "claude/list": async () => ({ processes: [] }),
  "event/subscribe": async () => ({ epoch: "e", next_seq: 1 }),
};

interface World {
  readonly daemon: FakeDaemon;
  readonly clock: ManualClock;
  readonly samples: Sample[];
  readonly lost: string[];
  readonly ended: Promise<unknown>;
  readonly looks: () => number;
}

async function start(t: TestContext, changes: FakeHandlers = {}): Promise<World> {
  const daemon = await FakeDaemon.start({ ...handlers, ...changes });
  const clock = new ManualClock();
  const leave = new AbortController();
  const [samples, lost]: [Sample[], string[]] = [[], []];
  const target = {
    ...({ kind: "socket", path: daemon.socketPath } as const),
    tokenFile: join(daemon.home, "data/auth/local_token"),
  };
  const feed = new Feed({
    persistence: {
      connect: () => openConnection(target, { clock, signal: leave.signal, timeoutMs: undefined }),
      ...{ clock, random: () => 0.5, signal: leave.signal, notice: () => assert.fail("the terminal is the view's") },
    },
    ...{ clock, intervalMs },
    onSample: (sample) => samples.push(sample),
    onLost: (why) => lost.push(why),
  });
  const ended = feed.run().catch((error: unknown) => error);
  t.after(async () => {
    leave.abort(new Error("the test is over"));
    await ended;
    await daemon[Symbol.asyncDispose]();
  });
  return { daemon, clock, samples, lost, ended, looks: () => daemon.countOf("command/list") };
}

test("without a word of the daemon it looks once an interval", async (t) => {
  const { clock, samples, looks } = await start(t);
  await until("the first", () => samples.length === 1);
  await clock.advance(intervalMs - 1);
  assert.equal(looks(), 1);
  await clock.advance(1);
  await until("the second", () => samples.length === 2);
});

test("a thousand events at once are one look more, a moment later", async (t) => {
  const flood = Promise.withResolvers<undefined>();
  const flooded = Promise.withResolvers<undefined>();
  const { clock, samples, looks, daemon } = await start(t, {
    "event/subscribe": async ({ types }, call) => {
      call.stream(async () => {
        await flood.promise;
        const event = { event_id: "x", event_type: types?.[0], timestamp: 0, data: {}, severity: "info", epoch: "e" };
        for (let seq = 1; seq <= 1_000; seq += 1) await call.notify("event/event", { ...event, seq });
        flooded.resolve(undefined);
      });
      return { epoch: "e", next_seq: 1 };
    },
  });
  await until("the first", () => samples.length === 1);
  flood.resolve(undefined);
  await flooded.promise;
  assert.equal(looks(), 1);
  await until("what was told to be read", async () => {
    await clock.advance(250);
    return samples.length === 2;
  });
  for (let n = 0; n < 20; n += 1) await clock.advance(250);
  assert.ok(looks() <= 3, `${looks()} looks`);
  assert.equal(daemon.countOf("event/subscribe"), 1);
});

test("a lost connection is told once and made again, however long it was away", async (t) => {
  const { clock, samples, lost, daemon } = await start(t);
  await until("the first", () => samples.length === 1);
  daemon.handlers["auth/login"] = () => Promise.reject(new HlError("shutting_down", "not now"));
  daemon.cutConnections();
  await until("it to be told", () => lost.length === 1);
  for (let passed = 0; passed < 3 * reconnectMs; passed += 10_000) {
    await clock.advance(10_000);
  }
  delete daemon.handlers["auth/login"];
  await until("another sample", async () => {
    await clock.advance(1_000);
    return samples.length >= 2;
  });
  assert.equal(lost.length, 1);
});

test("what the role may not see is said in its place; events that it may not follow leave the interval", async (t) => {
  const refuse = (): Promise<never> => Promise.reject(new HlError("permission_denied", "the role viewer lacks it"));
  const { samples } = await start(t, { "command/list": refuse, "claude/list": refuse, "event/subscribe": refuse });
  await until("the first", () => samples.length === 1);
  const { health, commands, agents, refused } = samples[0]!;
  assert.deepEqual([health?.status, commands, agents], ["healthy", undefined, undefined]);
  assert.deepEqual(refused, { commands: "the role viewer lacks it", agents: "the role viewer lacks it" });
});

test("a VM that is away when it is looked at first is told, and not waited for", async (t) => {
  const away = (): Promise<never> => Promise.reject(new HlError("instance_offline", "vm 1 is not connected"));
  const { ended, lost } = await start(t, { "event/subscribe": away });
  const error = await ended;
  assert.ok(error instanceof HlError && error.type === "instance_offline");
  assert.deepEqual(lost, []);
});

test("hl-client top without a terminal asks for figures, long command lines cut, and prints once", async (t) => {
  const daemon = await FakeDaemon.start(handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  const plain = await inProcess([...daemon.local, "top"]);
  assert.deepEqual([plain.code, plain.stderr], [0, ""]);
  assert.match(
    plain.stdout,
    /^hl-daemon 0\.1\.0 {2}vm-1 {2}healthy [^]*\n {2}c-1 +running +4711 +developer +1:05 +sleep 600\n$/,
  );
  const narrow = await inProcess([...daemon.local, "top"], { columns: 40, env: { NO_COLOR: "1" } });
  assert.ok(narrow.stdout.split("\n").every((line) => line.length <= 40));
  const json = await inProcess([...daemon.local, "top", "--json"]);
  assert.deepEqual(Object.keys(JSON.parse(json.stdout)), ["info", "health", "commands", "agents", "refused"]);
  const asked = daemon.asked.find(({ method }) => method === "command/list");
  assert.deepEqual(asked?.params, { limit: 200, running_first: true, usage: true, args_bytes_max: 512 });
});
