/**
 * Goal: C1, P1, P2, P3: wherever a crash of the daemon meets a command, it has exactly one truthful end afterwards, its output is whole, and
 * nothing of it is left. Method: kill -9 at named points (kill-points.ts), during the recovery, the pruning and the stop, and at random
 * ones, while other commands run all the time; then a look at what the program did, what its result says, and what events tell.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { spawnProgram } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { killPoints, linesText, type At, type Point } from "./kill-points.ts";

const config = { process_management: { allowed_commands: ["sh"], stop_grace_seconds: 1 } };
const loads = ["load-1", "load-2", "load-3"];
const tick = 'i=0; while [ ! -e "$0.go" ]; do echo tick $i; i=$((i+1)); sleep 0.02; done; exit 4';

/** Files of a command are named by it, so that scripts of many may share the workspace. */
function shellOf(id: string, script: string): string[] {
  const names = ["termed", "ready", "half", "rest", "written", "child"]
    .map((name) => `${name}=${id}.${name}`)
    .join(" ");
  const prelude = `echo x >> ${id}.effect; ${names}; go='eval while [ ! -e ${id}.go ]; do sleep 0.02; done'`;
  return ["-c", `${prelude}; ${script}`];
}

function send(client: MessageClient, id: string, script: string, more: object = {}): Promise<Message> {
  const request = { command_id: id, command: "sh", args: shellOf(id, script), stream_output: true, ...more };
  const answer = client.call("command/execute", request);
  answer.catch(() => {}); // The daemon may die first.
  return answer;
}

/** The result once it has ended; undefined when the daemon has never heard of it. */
async function endOf(client: MessageClient, id: string): Promise<Message> {
  return until(`the end of ${id}`, async () => {
    try {
      const status = await client.call("command/status", { command_id: id });
      return status.status === "started" ? undefined : status;
    } catch (error) {
      if (error instanceof CallFailed && error.error.code === 1107) return { reason: "none" };
      throw error;
    }
  });
}

async function outputOf(client: MessageClient, id: string): Promise<string> {
  const parts: Buffer[] = [];
  for (let offset = 0; ;) {
    const page = await client.call("command/logs", { command_id: id, stream: "stdout", offset });
    assert.equal(page.skipped_bytes, 0, id);
    for (const { data, encoding } of page.chunks)
      parts.push(Buffer.from(data, encoding === "base64" ? "base64" : "utf8"));
    offset = page.next_offset;
    if (page.eof) return Buffer.concat(parts).toString("latin1");
  }
}

const sumOf = (text: string): string => createHash("sha256").update(text).digest("hex");

/** One end for each command, in the events as in the results. */
async function endsAreTold(client: MessageClient, results: ReadonlyMap<string, Message>): Promise<void> {
  await client.call("event/subscribe", { after: 0, types: ["process_end", "test.marker"] });
  const marker = { event_id: "the-last", event_type: "test.marker", timestamp: Date.now() / 1000, data: {} };
  await client.call("event/stream", marker);
  const told = new Map<string, unknown[]>();
  for (;;) {
    const { params } = await client.next(({ method }) => method === "event/event");
    if (params.event_id === marker.event_id) break;
    const { command_id: id, reason, exit_code } = params.data;
    told.set(id, [...(told.get(id) ?? []), [reason, exit_code]]);
  }
  for (const [id, { reason, exit_code }] of results)
    assert.deepEqual(
      told.get(id) ?? [],
      reason === "none" ? [] : [[reason, exit_code]],
      `ends of ${id} that were told`,
    );
}

async function judge(
  client: MessageClient,
  at: Pick<At, "id" | "path">,
  point: Pick<Point, "ends" | "output">,
): Promise<Message> {
  const result = await endOf(client, at.id);
  const { reason, exit_code } = result;
  assert.ok(
    point.ends.some(([wanted, code]) => wanted === reason && code === exit_code),
    `${at.id} ended with ${String(reason)} ${String(exit_code)}`,
  );
  const effects = existsSync(at.path("effect")) ? readFileSync(at.path("effect"), "utf8") : "";
  assert.equal(effects, reason === "none" || reason === "interrupted" ? "" : "x\n", `effects of ${at.id}`);
  if (reason !== "exited") return result;
  const written = await outputOf(client, at.id);
  assert.equal(sumOf(written), sumOf(point.output ?? ""), `output of ${at.id}`);
  assert.equal(result.stdout_bytes, written.length);
  return result;
}

/** kill -9, and the next daemon killed as soon as it has found a command again. */
async function killWhileItRecovers(daemon: TestDaemon): Promise<void> {
  await daemon.kill();
  const found = (): number => daemon.log.split("found a command of before").length;
  const before = found();
  const child = spawnProgram("hl-daemon", ["--home", daemon.home, "--test-mode"]);
  const exited = new Promise((resolve) => child.once("exit", resolve));
  await until("the recovery to be under way", () => found() > before || child.exitCode !== null);
  child.kill("SIGKILL");
  await exited;
}

async function upset(daemon: TestDaemon, point: Point, number: number): Promise<At> {
  const id = `p${number}`;
  const path = (name: string): string => join(daemon.workspace, `${id}.${name}`);
  using client = await daemon.connect();
  using _before = await point.before?.(daemon);
  const at: At = { daemon, client, id, path, answer: send(client, id, point.script, point.request) };
  await point.reach(at);
  await daemon.kill();
  await point.meanwhile?.(at);
  await daemon.restart();
  using next = await daemon.connect();
  await point.after?.(next, at);
  writeFileSync(path("go"), "");
  return at;
}

const points = killPoints();

describe("kill points", () => {
  test(`P2, P3: kill -9 at ${points.length + 1} named points under load: one truthful end each, output whole, nothing left`, async () => {
    await using daemon = await TestDaemon.start({ config });
    const results = new Map<string, Message>();
    {
      using client = await daemon.connect();
      for (const id of loads) await client.call("command/execute", { command_id: id, command: "sh", args: ["-c", tick, id], stream_output: true }); // prettier-ignore
    }
    for (const [number, point] of points.entries()) {
      try {
        const at = await upset(daemon, point, number);
        using client = await daemon.connect();
        results.set(at.id, await judge(client, at, point));
      } catch (error) {
        throw new Error(`at "${point.name}": ${(error as Error).message}`, { cause: error });
      }
    }
    for (let round = 0; round < 2; round += 1) await killWhileItRecovers(daemon);
    await daemon.restart();
    using client = await daemon.connect();
    for (const id of loads) {
      writeFileSync(join(daemon.workspace, `${id}.go`), "");
      const result = await endOf(client, id);
      assert.deepEqual([result.reason, result.exit_code], ["exited", 4]);
      const ticks = (await outputOf(client, id)).trimEnd().split("\n");
      assert.deepEqual(
        ticks,
        Array.from(ticks, (_, index) => `tick ${index}`),
        "a tick was lost",
      );
      results.set(id, result);
    }
    await endsAreTold(client, results);
    await daemon.kill();
    await noProcessOf(daemon.home);
  });

  test("P2, P3: kill -9 behind a random byte of output, a few times, while others run", async (t) => {
    const seed = Number(process.env["HL_TEST_SEED"] ?? 20_260_301);
    t.diagnostic(`HL_TEST_SEED=${seed}`);
    let state = seed;
    const random = (below: number): number => (state = (state * 48_271) % 2_147_483_647) % below;
    await using daemon = await TestDaemon.start({ config });
    const results = new Map<string, Message>();
    const lines = `i=0; while [ $i -lt ${linesText.split("\n").length - 1} ]; do echo line $i; i=$((i+1)); done; exit 3`;
    for (let round = 0; round < 6; round += 1) {
      const ids = [0, 1, 2].map((n) => `r${round}-${n}`);
      using client = await daemon.connect();
      for (const id of ids) void send(client, id, lines);
      const bytes = random(linesText.length);
      let got = 0;
      const reached = Promise.withResolvers<undefined>();
      client.listener = ({ method, params }: Message) => {
        if (method !== "command/output" && method !== "command/exited") return false;
        got = Math.max(got, method === "command/exited" ? bytes : params.position);
        if (got >= bytes) reached.resolve(undefined);
        return true;
      };
      await reached.promise;
      await daemon.kill();
      await daemon.restart();
      using next = await daemon.connect();
      for (const id of ids) {
        const path = (name: string): string => join(daemon.workspace, `${id}.${name}`);
        const ends = [["exited", 3], ["interrupted", undefined], ["none", undefined]] as const; // prettier-ignore
        results.set(id, await judge(next, { id, path }, { ends, output: linesText }));
      }
    }
    using client = await daemon.connect();
    await endsAreTold(client, results);
  });

  for (const point of ["in the stop", "in the grace of the stop"] as const) {
    test(`P1, P2: SIGTERM mid output, and kill -9 ${point}: it has obeyed or was killed, and is told so once`, async () => {
      await using daemon = await TestDaemon.start({ config });
      {
        using client = await daemon.connect();
        void send(
          client,
          "s",
          `trap 'touch $termed' TERM; i=0; while :; do echo line $i; i=$((i+1)); sleep 0.01; done`,
        );
        await client.next(({ method }) => method === "command/output");
        daemon.program.signal("SIGTERM");
        await until("it to be told", () => existsSync(join(daemon.workspace, "s.termed")));
        if (point === "in the stop") assert.equal(await daemon.program.exited, 0);
        else await daemon.kill();
      }
      await daemon.restart();
      using client = await daemon.connect();
      const result = await endOf(client, "s");
      assert.deepEqual([result.status, result.reason, result.exit_code], ["failed", "shutdown", undefined]);
      const ticks = (await outputOf(client, "s")).split("\n").slice(0, -1);
      assert.deepEqual(
        ticks,
        Array.from(ticks, (_, index) => `line ${index}`),
      );
      await endsAreTold(client, new Map([["s", result]]));
    });
  }

  test("P7: kill -9 while old results are removed: what is remembered is whole, what is not is gone, and the limit is kept", async () => {
    const kept = 5;
    const limits = { finished_retention_commands: kept, cleanup_interval: 1 };
    await using daemon = await TestDaemon.start({
      config: { process_management: { allowed_commands: ["sh"], ...limits } },
    });
    const folders = (): string[] =>
      readdirSync(join(daemon.home, "data/runner")).filter((name) => !name.startsWith("."));
    for (let round = 0; round < 3; round += 1) {
      using client = await daemon.connect();
      const ids = Array.from({ length: 40 }, (_, n) => `k${round}-${n}`);
      const answers = ids.map((id) => client.call("command/execute", { command_id: id, command: "sh", args: ["-c", `echo ${id}`] })); // prettier-ignore
      for (const answer of answers) answer.catch(() => {});
      await answers[20];
      let most = 0;
      const isForgotten = (command_id: string): Promise<boolean> =>
        client.call("command/status", { command_id }).then(
          () => false,
          (error: unknown) => error instanceof CallFailed && error.error.code === 1107,
        );
      await until("the pruning to be under way", async () => {
        const { length } = folders();
        most = Math.max(most, length);
        return length < most || (await isForgotten(ids[0]!));
      });
      await daemon.kill();
      await daemon.restart();
    }
    using client = await daemon.connect();
    const remembered = await until("the limit to be kept", async () => {
      const { commands } = await client.call("command/list", { limit: 1_000 });
      return commands.length <= kept && (commands as Message[]);
    });
    for (const { command_id: id, reason } of remembered) {
      assert.ok(["exited", "interrupted"].includes(reason));
      if (reason === "exited") assert.equal(await outputOf(client, id), `${id}\n`);
    }
    await until("no folder of a forgotten one", () => folders().length <= kept);
  });
});
