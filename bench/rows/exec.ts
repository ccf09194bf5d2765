import { resolve } from "node:path";
import type { BenchContext, Benchmark } from "../context.ts";
import { closedLoop, interleave, SpawnProgram, type Load } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import type { RpcClient } from "../rpc-client.ts";
import { digits, ms, pairedRatio, summarize } from "../stats.ts";

const program = "/usr/bin/true";

/** `command/execute` of `true`, beside the least that starting it can cost and beside what a Node program would do. */
export const execBench: Benchmark = { name: "exec", run };

async function run(context: BenchContext): Promise<Row[]> {
  const on = await context.startDaemon({ config: { security: { sandbox_mode: true } } });
  const off = await context.startDaemon({ config: { security: { sandbox_mode: false } } });
  await using bare = new SpawnProgram(context.program("spawn-loop"), [program]);
  await using node = new SpawnProgram(process.execPath, [
    resolve(import.meta.dirname, "../programs/node-spawn.cjs"),
    program,
  ]);
  const clientOn = await on.connect();
  const clientOff = await off.connect();
  const rounds = context.quick ? 40 : 200;
  const inARow = 5;
  const oneByOne = (client: RpcClient) => async () => (await load(client, inARow, 1)).samples;
  const sides = {
    bare: () => bare.run(inARow, 1),
    node: () => node.run(inARow, 1),
    on: oneByOne(clientOn),
    off: oneByOne(clientOff),
  };
  await interleave(60, sides); // Some hundred commands: what is used often is compiled then.
  const alone = await interleave(rounds, sides);
  const bareTimes = summarize(alone["bare"]!);
  const nodeTimes = summarize(alone["node"]!);
  const onTimes = summarize(alone["on"]!);
  const offTimes = summarize(alone["off"]!);
  const ratio = pairedRatio(alone["on"]!, alone["bare"]!);
  const ratioOff = pairedRatio(alone["off"]!, alone["bare"]!);
  const nodeRatio = pairedRatio(alone["on"]!, alone["node"]!);

  const together: Record<string, number[]> = await interleave(context.quick ? 3 : 10, {
    bare: async () => [rateOf(await timed(() => bare.run(256, 32)))],
    node: async () => [rateOf(await timed(() => node.run(256, 32)))],
    on: async () => [(await load(clientOn, 256, 32)).perSecond],
    off: async () => [(await load(clientOff, 256, 32)).perSecond],
  });
  const rate = (name: string): number => summarize(together[name]!).p50;
  return [
    {
      what: "execute `true`: p50 beside posix_spawn + wait, sandbox on",
      budget: "≤ 1.5 ×",
      measured: `${digits(ratio)} × (${ms(onTimes.p50)} beside ${ms(bareTimes.p50)}; p99 ${ms(onTimes.p99)} beside ${ms(bareTimes.p99)})`,
      verdict: verdictOf(ratio, 1.5),
      values: { ratio, p50: onTimes.p50, p99: onTimes.p99, bareP50: bareTimes.p50, bareP99: bareTimes.p99 },
    },
    {
      what: "the same, sandbox off",
      budget: "",
      measured: `${digits(ratioOff)} × (${ms(offTimes.p50)}; p99 ${ms(offTimes.p99)})`,
      verdict: "info",
      values: { ratio: ratioOff, p50: offTimes.p50, p99: offTimes.p99 },
    },
    {
      what: "what the sandbox adds to that, p50",
      budget: "< 1 ms",
      measured: ms(onTimes.p50 - offTimes.p50),
      verdict: verdictOf(onTimes.p50 - offTimes.p50, 1),
      values: { overheadMs: onTimes.p50 - offTimes.p50 },
    },
    {
      what: "execute `true` beside child_process.spawn in an empty Node program",
      budget: "< 1 ×",
      measured: `${digits(nodeRatio)} × (${ms(onTimes.p50)} beside ${ms(nodeTimes.p50)}; p99 ${ms(onTimes.p99)} beside ${ms(nodeTimes.p99)})`,
      verdict: verdictOf(nodeRatio, 1),
      values: { ratio: nodeRatio, nodeP50: nodeTimes.p50, nodeP99: nodeTimes.p99 },
    },
    {
      what: "execute `true`, 32 in flight",
      budget: "≥ Node's own spawn",
      measured: `${digits(rate("on"))} /s (sandbox off ${digits(rate("off"))}, posix_spawn ${digits(rate("bare"))}, Node ${digits(rate("node"))})`,
      verdict: verdictOf(rate("on"), rate("node"), "least"),
      values: { on: rate("on"), off: rate("off"), bare: rate("bare"), node: rate("node") },
    },
  ];
}

let commandNumber = 0;

function load(client: RpcClient, count: number, atOnce: number): Promise<Load> {
  return closedLoop({ atOnce, count }, async () => {
    const answer = await client.send("command/execute", `{"command_id":"bench-${++commandNumber}","command":"true"}`);
    if (!answer.includes('"exit_code":0')) throw new Error(answer);
  });
}

async function timed(work: () => Promise<readonly number[]>): Promise<{ count: number; tookMs: number }> {
  const startedAt = performance.now();
  const { length: count } = await work();
  return { count, tookMs: performance.now() - startedAt };
}

function rateOf({ count, tookMs }: { count: number; tookMs: number }): number {
  return (1000 * count) / tookMs;
}
