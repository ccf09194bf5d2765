import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import type { BenchContext, Benchmark } from "../context.ts";
import { interleave } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import { ms, pairedDifferences, summarize } from "../stats.ts";

/** People and programs think between two messages; the shim holds back what comes within 2 ms of the output before. */
const restMs = 5;

/** `claude/relay` beside the same agent spoken to directly: what is left is the time of the daemon. */
export const relayBench: Benchmark = { name: "relay", run };

async function run(context: BenchContext): Promise<Row[]> {
  const agent = context.program("fake-agent");
  const daemon = await context.startDaemon({
    config: { claude_integration: { enabled: true, binary_path: agent, protocol: "stream-json" } },
  });
  const client = await daemon.connect();
  const { process_id } = await client.request<{ process_id: string }>("claude/start", {
    workspace_path: daemon.workspace,
  });
  await using direct = new DirectAgent(agent);
  const relay = async (): Promise<number[]> => {
    const startedAt = performance.now();
    const answer = await client.send("claude/relay", JSON.stringify({ process_id, message: "hello" }));
    if (!answer.includes('"done"')) throw new Error(answer);
    return [performance.now() - startedAt];
  };
  const directly = async (): Promise<number[]> => [await direct.turn("hello")];
  await interleave(200, { relay, directly });
  const rested = (work: () => Promise<number[]>) => async (): Promise<number[]> => {
    await new Promise((resolve) => setTimeout(resolve, restMs));
    return work();
  };
  const rounds = context.quick ? 200 : 1_000;
  const samples = await interleave(rounds, { relay: rested(relay), directly: rested(directly) });
  const inARow: number[] = [];
  const cpuBefore = daemon.cpuMs();
  for (let round = 0; round < rounds; round += 1) inARow.push(...(await relay()));
  const cpuMs = (daemon.cpuMs() - cpuBefore) / rounds;
  const directlyInARow: number[] = [];
  for (let round = 0; round < rounds; round += 1) directlyInARow.push(...(await directly()));
  const unrested = summarize(inARow);
  const agentUnrested = summarize(directlyInARow);
  const overheadUnrested = unrested.p50 - agentUnrested.p50;
  await client.request("claude/stop", { process_id, force: true, timeout: 1 });
  const overhead = summarize(pairedDifferences(samples["relay"]!, samples["directly"]!));
  const relayed = summarize(samples["relay"]!);
  const agentAlone = summarize(samples["directly"]!);
  return [
    {
      what: "claude/relay after a rest: over the agent's own time",
      budget: "p50 < 1 ms",
      measured: `p50 ${ms(overhead.p50)} (${ms(relayed.p50)} beside ${ms(agentAlone.p50)})`,
      verdict: verdictOf(overhead.p50, 1),
      values: { p50: overhead.p50, relayP50: relayed.p50, agentP50: agentAlone.p50 },
    },
    {
      what: "the same, the slowest of a hundred",
      budget: "p99 < 10 ms",
      measured: `p99 ${ms(overhead.p99)}`,
      verdict: verdictOf(overhead.p99, 10),
      values: { p99: overhead.p99 },
    },
    {
      // Each against its own kind: in turns both would find the caches that the other has left.
      what: "claude/relay, one right after the other: over the agent's own time",
      budget: "p50 < 1 ms",
      measured: `p50 ${ms(overheadUnrested)} (${ms(unrested.p50)} beside ${ms(agentUnrested.p50)}), p99 ${ms(unrested.p99)} in all`,
      verdict: verdictOf(overheadUnrested, 1),
      values: { p50: overheadUnrested, relayP50: unrested.p50, agentP50: agentUnrested.p50, p99: unrested.p99 },
    },
    {
      // Says something also where others are at work on the machine, whom every change of processes on the way waits for.
      what: "claude/relay, processor time of the daemon",
      budget: "",
      measured: `${ms(cpuMs)} a relay`,
      verdict: "info",
      values: { cpuMs },
    },
  ];
}

/** The agent on two pipes of our own. */
class DirectAgent implements AsyncDisposable {
  readonly #child;
  #done: (() => void) | undefined;

  constructor(path: string) {
    const child = spawn(path, [], { stdio: ["pipe", "pipe", "inherit"] });
    child.stdout.on("data", (chunk: Buffer) => {
      if (chunk.includes('"completed"')) this.#done?.();
    });
    this.#child = child;
  }

  async turn(text: string): Promise<number> {
    const startedAt = performance.now();
    const { promise, resolve } = Promise.withResolvers<undefined>();
    this.#done = () => resolve(undefined);
    const message = { role: "user", content: text };
    this.#child.stdin.write(`${JSON.stringify({ type: "user", message, session_id: "", uuid: randomUUID() })}\n`);
    await promise;
    return performance.now() - startedAt;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const ended = new Promise((resolve) => this.#child.once("exit", resolve));
    this.#child.stdin.end();
    await ended;
  }
}
