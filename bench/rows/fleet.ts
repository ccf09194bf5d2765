import { writeFileSync } from "node:fs";
import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { join } from "node:path";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import type { BenchContext, Benchmark } from "../context.ts";
import { BenchCloud, type ServerFiles } from "../fleet/bench-cloud.ts";
import type { AttemptReport } from "../fleet/host-tasks.ts";
import { post, sleep } from "../fleet/http-call.ts";
import { VmHosts } from "../fleet/vm-hosts.ts";
import { closedLoop } from "../load.ts";
import { verdictOf, type Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

/**
 * Simulated daemons against one real hl-cloud: enrolment, connect storm, heartbeats, a command to each, events, and two restarts of
 * hl-cloud after which all come back at their own pace: one that is announced, and a crash.
 */
export const fleetBench: Benchmark = { name: "fleet", run };

/** The daemon's first window after a loss; the storms without a word come spread over it. */
const spreadMs = 10_000;
/** What hl-cloud says when it stops. */
const drainSpreadMs = 60_000;
const heartbeatMs = 30_000;
const operatorsAtOnce = 64;
const eventsInBatch = 100;
/** What Poisson arrivals of the same rate reach in their busiest second, beside the rate itself. */
const peakShareMax = 1.5;

async function run(context: BenchContext): Promise<Row[]> {
  const { vms: count, quick } = context;
  const tls = context.tls ? certificatesIn(context.directory) : undefined;
  await using cloud = await BenchCloud.start(join(context.directory, "cloud"), tls);
  const operator = new FleetOperator(cloud.url, cloud.addOperator(), tls?.ca);
  await using hosts = new VmHosts(cloud.url, count, tls?.ca);
  const emptyKb = cloud.rssKb();
  const phases = new Phases(cloud);
  const restart = async (signal: "SIGTERM" | "SIGKILL", windowMs: number): Promise<Row> => {
    const restartMs = await cloud.restart(signal);
    const back = await phases.measure(() => untilConnected(hosts, count));
    const peak = peakPerSecond(back.result.attempts);
    const seconds = windowMs / 1000;
    const mean = count / seconds;
    const expected = Math.round(mean + Math.sqrt(2 * mean * Math.log(seconds)));
    return {
      what: `all ${count} VMs back after ${signal} (hl-cloud itself ${digits(restartMs / 1000)} s), spread over ${seconds} s`,
      budget: `attempts a second ≤ ${peakShareMax} × ${digits(mean)}`,
      measured: `${digits(back.wallMs / 1000)} s; peak ${peak} attempts/s where chance makes ${expected} of ${digits(mean)}; ${refusalsOf(back.result)}; ${digits(back.cpuMs / 1000)} s of processor time`,
      verdict: count < 1_000 ? "info" : verdictOf(peak, peakShareMax * mean),
      values: { backMs: back.wallMs, peak, expected, restartMs, cpuMs: back.cpuMs },
    };
  };

  const enrolledAt = performance.now();
  const enrollments = cloud.enroll(hosts.instances);
  const enrollMs = performance.now() - enrolledAt;
  const registered = await phases.measure(() => hosts.register(spreadMs, enrollments));
  const registering = await hosts.report();
  const connected = await phases.measure(() => hosts.connect(spreadMs));
  const connecting = await hosts.report();
  const channelKb = (cloud.rssKb() - emptyKb) / count;

  const beating = await phases.measure(async () => {
    await hosts.beat(heartbeatMs);
    await sleep(quick ? heartbeatMs : 2 * heartbeatMs);
    return hosts.beaten();
  });
  const bothKb = (cloud.rssKb() - emptyKb) / count;
  const commanded = await phases.measure(() => operator.commandEach(hosts.instances, "first"));
  const batches = quick || count >= 1_000 ? 1 : 5;
  const sent = await phases.measure(() => hosts.sendEvents(batches, eventsInBatch, operatorsAtOnce));
  await hosts.report();

  const announced = await restart("SIGTERM", drainSpreadMs);
  const crashed = await restart("SIGKILL", spreadMs);
  const again = await phases.measure(() => operator.commandEach(hosts.instances, "second"));
  const { executed } = await hosts.report();
  operator.close();

  const failedBeats = beating.result.filter(Number.isNaN).length;
  const beats = beating.result.filter((sample) => !Number.isNaN(sample));
  return [
    {
      ...timed(`${count} VMs registered, spread over ${spreadMs / 1000} s`, registered),
      measured: `${timesOf(registered)}; ${refusalsOf(registering)}; tokens made in ${digits(enrollMs / 1000)} s`,
    },
    {
      ...timed(`${count} command channels opened, spread over ${spreadMs / 1000} s`, connected),
      measured: `${timesOf(connected)}; ${refusalsOf(connecting)}`,
    },
    {
      what: "memory of hl-cloud for a VM",
      budget: "",
      measured: `${digits(channelKb)} kB with its channel, ${digits(bothKb)} kB with its HTTP connection (RSS, ${digits(emptyKb / 1024)} MB before)`,
      verdict: "info",
      values: { channelKb, bothKb, emptyKb },
    },
    {
      ...timed(`heartbeats of ${count} VMs, one in ${heartbeatMs / 1000} s each`, { ...beating, result: beats }),
      budget: "none lost",
      verdict: verdictOf(failedBeats, 0),
    },
    timed(`a command to each of ${count} VMs, ${operatorsAtOnce} at once, answered`, commanded),
    {
      ...timed(`${count * batches} batches of ${eventsInBatch} events accepted, ${operatorsAtOnce} at once`, sent),
      measured: `${digits((1000 * eventsInBatch * sent.result.length) / sent.wallMs)} events/s; ${timesOf(sent)}`,
    },
    announced,
    crashed,
    {
      ...timed("a command to each after it, answered", again),
      budget: "one effect each",
      verdict: verdictOf(Math.abs(executed - 2 * count), 0),
    },
  ];
}

/** A server's certificate on the disk, and the authority that its clients trust. */
function certificatesIn(folder: string): ServerFiles & { readonly ca: string } {
  const authority = makeAuthority();
  const { cert, key } = authority.issue("hl-cloud");
  const files = { cert: join(folder, "server.crt"), key: join(folder, "server.key") };
  writeFileSync(files.cert, cert);
  writeFileSync(files.key, key, { mode: 0o600 });
  return { ...files, ca: authority.cert };
}

interface Phase<T> {
  readonly result: T;
  readonly wallMs: number;
  /** Of hl-cloud. */
  readonly cpuMs: number;
}

class Phases {
  readonly #cloud: BenchCloud;

  constructor(cloud: BenchCloud) {
    this.#cloud = cloud;
  }

  async measure<T>(work: () => Promise<T>): Promise<Phase<T>> {
    const cpuBefore = this.#cloud.cpuMs();
    const startedAt = performance.now();
    const result = await work();
    return { result, wallMs: performance.now() - startedAt, cpuMs: this.#cloud.cpuMs() - cpuBefore };
  }
}

function timed(what: string, phase: Phase<readonly number[]>): Row {
  const { p50, p99, max } = summarize(phase.result);
  const { wallMs, cpuMs } = phase;
  return {
    what,
    budget: "",
    measured: timesOf(phase),
    verdict: "info",
    values: { p50, p99, max, wallMs, cpuMs, count: phase.result.length },
  };
}

function timesOf({ result, wallMs, cpuMs }: Phase<readonly number[]>): string {
  const { p50, p99 } = summarize(result);
  const share = Math.round((100 * cpuMs) / wallMs);
  return `p50 ${ms(p50)}, p99 ${ms(p99)}; ${digits(cpuMs / 1000)} s of processor time in ${digits(wallMs / 1000)} s (${share} %)`;
}

function refusalsOf({ refusals }: AttemptReport): string {
  const parts = Object.entries(refusals).map(
    ([status, count]) => `${count} × ${status === "0" ? "no answer" : status}`,
  );
  return parts.length === 0 ? "none refused" : `refused ${parts.join(", ")}`;
}

function peakPerSecond(attempts: readonly number[]): number {
  const first = Math.min(
    ...attempts.slice(0, 1),
    attempts.reduce((least, at) => Math.min(least, at), Infinity),
  );
  const seconds = new Map<number, number>();
  for (const at of attempts) {
    const second = Math.floor((at - first) / 1000);
    seconds.set(second, (seconds.get(second) ?? 0) + 1);
  }
  return Math.max(0, ...seconds.values());
}

async function untilConnected(hosts: VmHosts, count: number): Promise<AttemptReport> {
  const attempts: number[] = [];
  const refusals: Record<string, number> = {};
  for (;;) {
    const report = await hosts.report();
    attempts.push(...report.attempts);
    for (const [status, times] of Object.entries(report.refusals)) refusals[status] = (refusals[status] ?? 0) + times;
    if (report.connected === count) return { ...report, attempts, refusals };
    await sleep(100);
  }
}

/** The operators' side of the API, over a few keep-alive connections. */
class FleetOperator {
  readonly #url: string;
  readonly #token: string;
  readonly #agent: Agent;

  constructor(url: string, token: string, ca: string | undefined) {
    this.#url = url;
    this.#token = token;
    const kept = { keepAlive: true, maxSockets: operatorsAtOnce };
    this.#agent = url.startsWith("https:") ? new SecureAgent({ ...kept, ca }) : new Agent(kept);
  }

  /** Milliseconds until each VM has answered its command. */
  async commandEach(instances: readonly string[], run: string): Promise<number[]> {
    let next = 0;
    const { samples } = await closedLoop({ atOnce: operatorsAtOnce, count: instances.length }, async () => {
      const id = instances[next++]!;
      const params = { command_id: `${run}-${id}`, command: "true" };
      const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "command/execute", params });
      const { status, text } = await post(`${this.#url}/v1/instances/${id}/rpc`, this.#token, body, this.#agent);
      if (!text.includes('"exit_code":0')) throw new Error(`${id}: ${status} ${text.slice(0, 300)}`);
    });
    return [...samples];
  }

  close(): void {
    this.#agent.destroy();
  }
}
