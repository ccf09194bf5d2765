import { readFileSync, readdirSync } from "node:fs";
import type { BenchDaemon } from "../daemon.ts";
import type { BenchContext, Benchmark } from "../context.ts";
import { verdictOf, type Row } from "../report.ts";
import type { RpcClient } from "../rpc-client.ts";
import { digits } from "../stats.ts";

/** Many commands at once: those that are over at once, and those that only sleep and should cost nothing while they do. */
export const manyBench: Benchmark = { name: "many", run };

const atOnce = 500;
/** "Near zero", of one core, for the daemon and all shims together. */
const idlePercentMax = 0.5;

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({
    config: {
      process_management: { allowed_commands: ["true", "sleep"], max_processes: atOnce + 10 },
      local_api: { http_port: 0, max_pending_requests: 1_000 },
    },
  });
  const client = await daemon.connect();
  await together(client, "warm", 100);
  const rates: number[] = [];
  for (let round = 0; round < (context.quick ? 2 : 8); round += 1) {
    const startedAt = performance.now();
    await together(client, `burst-${round}`, atOnce);
    rates.push((1000 * atOnce) / (performance.now() - startedAt));
  }
  const best = Math.max(...rates);
  return [
    {
      what: `${atOnce} commands at once: all have ended as they should`,
      budget: "",
      measured: `${digits(best)} /s at best, ${digits(Math.min(...rates))} at worst of ${rates.length} rounds`,
      verdict: "info",
      values: { best, worst: Math.min(...rates) },
    },
    ...(await sleeping(context, daemon, client)),
  ];
}

async function together(client: RpcClient, prefix: string, count: number): Promise<void> {
  const one = async (index: number): Promise<void> => {
    const answer = await client.send("command/execute", `{"command_id":"${prefix}-${index}","command":"true"}`);
    if (!answer.includes('"exit_code":0')) throw new Error(answer);
  };
  await Promise.all(Array.from({ length: count }, (_, index) => one(index)));
}

async function sleeping(context: BenchContext, daemon: BenchDaemon, client: RpcClient): Promise<Row[]> {
  const ids = Array.from({ length: atOnce }, (_, index) => `sleep-${index}`);
  for (const id of ids) {
    const params = { command_id: id, command: "sleep", args: ["1000"], stream_output: true };
    await client.send("command/execute", JSON.stringify(params));
  }
  await new Promise((resolve) => setTimeout(resolve, 8_000)); // The pool of warm shims is small again by then.
  const shims = shimsOf(daemon.pid);
  const watched = [daemon.pid, ...shims];
  const seconds = context.quick ? 10 : 30;
  const before = total(watched, cpuMs);
  await new Promise((resolve) => setTimeout(resolve, seconds * 1000));
  const percent = (total(watched, cpuMs) - before) / (10 * seconds);
  const rssKb = total(shims, (pid) => rollup(pid, "Rss")) / shims.length;
  const pssKb = total(shims, (pid) => rollup(pid, "Pss")) / shims.length;
  await Promise.all(ids.map((id) => client.send("command/cancel", `{"command_id":"${id}","grace":0}`)));
  return [
    {
      what: `${atOnce} sleeping commands: processor time of daemon and shims`,
      budget: `< ${idlePercentMax} % of a core`,
      measured: `${digits(percent)} %`,
      verdict: verdictOf(percent, idlePercentMax),
      values: { percent, seconds },
    },
    {
      what: "memory of a shim that holds a sleeping command",
      budget: "",
      measured: `${digits(pssKb)} kB proportional (PSS), ${digits(rssKb)} kB resident, ${shims.length} shims`,
      verdict: "info",
      values: { pssKb, rssKb, shims: shims.length },
    },
  ];
}

/** The processes of hl-runner below the daemon: the resident's children. */
function shimsOf(daemonPid: number): number[] {
  const childrenOf = (pid: number): number[] =>
    readdirSync(`/proc/${pid}/task`).flatMap((task) =>
      readFileSync(`/proc/${pid}/task/${task}/children`, "utf8")
        .split(" ")
        .filter((text) => text !== "")
        .map(Number),
    );
  return childrenOf(daemonPid).flatMap(childrenOf);
}

function total(pids: readonly number[], of: (pid: number) => number): number {
  return pids.reduce((sum, pid) => sum + of(pid), 0);
}

/** Finer than the ticks of /proc/PID/stat, in which a shim that wakes for a moment would never show. */
function cpuMs(pid: number): number {
  return readdirSync(`/proc/${pid}/task`).reduce((sum, task) => {
    const [running = "0"] = readFileSync(`/proc/${pid}/task/${task}/schedstat`, "utf8").split(" ");
    return sum + Number(running) / 1e6;
  }, 0);
}

function rollup(pid: number, name: string): number {
  const text = readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(text)?.[1] ?? Number.NaN);
}
