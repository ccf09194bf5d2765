/**
 * Goal: P1, P7: many turns on one agent, and many agents one after another, leave no process, descriptor or file behind, and the daemon
 * does not grow. Method: the real Claude Code and claude-agent-acp under the real daemon, the stub of the model's API. Short by default;
 * HL_TEST_AGENT_TURNS=200 HL_TEST_AGENTS=20 is the long version. What is seen is printed.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { startModelApi, type ModelApi } from "@hl/testkit/model-api/model-api.ts";
import {
  descriptorCount,
  parentOf,
  processesNaming,
  processesOf,
  processesWith,
  rssBytes,
  threadCount,
} from "@hl/testkit/processes.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Fleet, waitingTool, type FleetAgent } from "./fleet.ts";

const turns = Number(process.env["HL_TEST_AGENT_TURNS"] ?? 45);
const agentsInARow = Number(process.env["HL_TEST_AGENTS"] ?? 6);
const mib = 2 ** 20;

describe("what many turns and many agents leave behind", () => {
  const stack = new AsyncDisposableStack();
  let model: ModelApi;
  let fleet: Fleet;

  before(async () => {
    model = stack.use(await startModelApi());
    const rules = [{ tool: "Bash", pattern: `${waitingTool} *`, decision: "allow" }];
    fleet = stack.use(await Fleet.start(model, { claude: { approvals: { rules } } }));
  });
  after(() => stack.disposeAsync());

  /** Every path below the home but what is kept on purpose: the database's own files, and what agents keep of their conversations. */
  const files = (folder: string): string[] =>
    readdirSync(folder, { recursive: true, encoding: "utf8" })
      .filter((path) => !/daemon\.db|\.claude|\/logs\//.test(`/${path}`))
      .sort();

  /** Descriptors and threads are counted when what was under way has ended. */
  const atRest = async (): Promise<{ descriptors: number; threads: number }> => {
    const { pid } = fleet.daemon;
    let seen = { descriptors: descriptorCount(pid), threads: threadCount(pid) };
    await until("two counts alike", () => {
      const before = seen;
      seen = { descriptors: descriptorCount(pid), threads: threadCount(pid) };
      return before.descriptors === seen.descriptors;
    });
    return seen;
  };

  /** The first third is warming up, so the last is judged by the second; half as much again is far from noise and far below a leak. */
  function isFlat(t: TestContext, what: string, rss: readonly number[]): void {
    const third = Math.floor(rss.length / 3);
    const means = [0, 1, 2].map((n) => {
      const part = rss.slice(n * third, (n + 1) * third);
      return part.reduce((sum, one) => sum + one, 0) / part.length / mib;
    });
    t.diagnostic(`${what}: RSS by thirds ${means.map((one) => one.toFixed(1)).join(", ")} MiB`);
    assert.ok(means[2]! < means[1]! * 1.25 + 8, `${what} grows: ${means.join(", ")} MiB`);
  }

  /** An answer, and now and then a tool. */
  async function turn(agent: FleetAgent, n: number): Promise<void> {
    const message = n % 5 === 4 ? "!bash echo ran" : `turn ${n}`;
    const { text, is_error } = await fleet.relay(agent, message);
    assert.equal(is_error, false, `turn ${n}: ${text}`);
    assert.match(text, n % 5 === 4 ? /^tool result: ran/ : new RegExp(`^echo: turn ${n}$`));
  }

  test("P7: many turns on one agent: the daemon, its shim and its files are as before", async (t) => {
    for (const protocol of ["stream-json", "acp"] as const) {
      const agent = await fleet.startAgent(protocol);
      const shim = parentOf(agent.pid);
      const [daemonRss, shimRss]: number[][] = [[], []];
      const count = async () => ({
        ...(await atRest()),
        shimDescriptors: descriptorCount(shim),
        files: files(fleet.daemon.home),
      });
      const processes = (): number[] => processesWith("HL_PROCESS_ID", agent.process_id);
      let earlyProcesses: number[] = [];
      let early: Awaited<ReturnType<typeof count>> | undefined;
      for (let n = 0; n < turns; n += 1) {
        await turn(agent, n);
        daemonRss!.push(rssBytes(fleet.daemon.pid));
        shimRss!.push(rssBytes(shim));
        if (n === 9) [early, earlyProcesses] = [await count(), processes()];
      }
      // What the real programs start for a moment, around a tool or a turn, ends by itself; what has leaked does not.
      const left = (): number[] => processes().filter((pid) => !earlyProcesses.includes(pid));
      await until("no process that was not there after ten turns", () => left().length === 0);
      // Fewer descriptors are no leak: a connection to the model that nobody needs is closed after a while. What has leaked stays.
      const late = await until("no descriptor that was not there after ten turns", async () => {
        const now = await count();
        return now.descriptors <= (early?.descriptors ?? 0) && now;
      });
      assert.deepEqual({ ...late, descriptors: 0 }, { ...early, descriptors: 0 }, protocol);
      t.diagnostic(
        `${protocol}: ${turns} turns; ${late.descriptors} descriptors of the daemon, ${late.shimDescriptors} of the shim, ${processes().length} processes, ${late.files.length} files, as after 10 turns`,
      );
      isFlat(t, `daemon over ${turns} turns (${protocol})`, daemonRss!);
      isFlat(t, `shim over ${turns} turns (${protocol})`, shimRss!);
      assert.equal((await fleet.listed(agent)).turns, turns);
      await fleet.stop(agent);
      assert.deepEqual(processesWith("HL_PROCESS_ID", agent.process_id), []);
    }
  });

  test("P1, P7: many agents one after another: each leaves its log and its record, and nothing else", async (t) => {
    const rss: number[] = [];
    const seen: { descriptors: number; threads: number; processes: number; files: number }[] = [];
    const listedBefore = Number((await fleet.client.call("claude/list")).processes.length);
    for (let n = 0; n < agentsInARow; n += 1) {
      const agent = await fleet.startAgent(n % 3 === 2 ? "acp" : "stream-json");
      await turn(agent, n);
      // One in two is killed.
      if (n % 2 === 1) process.kill(agent.pid, "SIGKILL");
      await fleet.stop(agent);
      await until("no process of it", () => processesWith("HL_PROCESS_ID", agent.process_id).length === 0);
      rss.push(rssBytes(fleet.daemon.pid));
      // Its log, by which claude/list and a repeated relay id are answered, is kept, of the newest hundred.
      const mine = (): string[] => files(fleet.daemon.home).filter((path) => path.includes(agent.process_id));
      const log = `data/runner/${agent.process_id}`;
      await until("only its log", () => mine().every((path) => path === log || path.startsWith(`${log}/`)));
      assert.ok(mine().length <= 4, mine().join());
      await until("its shim to have left", () => processesNaming(agent.process_id).length === 0);
      const processes = processesOf(fleet.daemon.home).length;
      seen.push({
        ...(await atRest()),
        processes,
        files: files(fleet.daemon.home).filter((path) => !path.includes("agent_")).length,
      });
    }
    const { processes } = await fleet.client.call("claude/list");
    assert.equal(processes.length, Math.min(100, listedBefore + agentsInARow));
    assert.ok(processes.every(({ status }: { status: string }) => status === "ended"));
    const [first, last] = [seen[2]!, seen.at(-1)!]; // By then each protocol has made its folder.
    t.diagnostic(
      `${agentsInARow} agents: ${JSON.stringify(first)} after the third, ${JSON.stringify(last)} after the last`,
    );
    await until("no descriptor more", () => descriptorCount(fleet.daemon.pid) <= first.descriptors);
    assert.deepEqual({ ...last, descriptors: 0 }, { ...first, descriptors: 0 });
    isFlat(t, `daemon over ${agentsInARow} agents`, rss);
    assert.ok(readdirSync(join(fleet.daemon.home, "workspace")).length < 10);
  });
});
