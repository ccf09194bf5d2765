import { fork, type ChildProcess } from "node:child_process";
import { join } from "node:path";
import type { AttemptReport, HostTask } from "./host-tasks.ts";

/** A process holds so many: below the usual limit of descriptors, of which each VM needs two. */
const vmsInHost = 2_500;

/** The processes that hold the simulated daemons. */
export class VmHosts implements AsyncDisposable {
  readonly instances: readonly string[];
  readonly #hosts: readonly Host[];

  /** @param ca of an https server, in PEM */
  constructor(url: string, count: number, ca?: string) {
    this.instances = Array.from({ length: count }, (_, index) => `vm-${String(index).padStart(5, "0")}`);
    const hosts: Host[] = [];
    for (let from = 0; from < count; from += vmsInHost) {
      hosts.push(new Host(this.instances.slice(from, from + vmsInHost)));
    }
    this.#hosts = hosts;
    for (const host of hosts) void host.ask({ do: "make", url, ca, instances: host.instances });
  }

  /** @param enrollments one for each of `instances`, in their order. */
  async register(spreadMs: number, enrollments: readonly string[]): Promise<number[]> {
    const tokenOf = new Map(this.instances.map((id, index) => [id, enrollments[index]!]));
    return this.#all<number[]>((host) => ({
      do: "register",
      spreadMs,
      enrollments: host.instances.map((id) => tokenOf.get(id)!),
    })).then((parts) => parts.flat());
  }

  connect(spreadMs: number): Promise<number[]> {
    return this.#all<number[]>(() => ({ do: "connect", spreadMs })).then((parts) => parts.flat());
  }

  async beat(intervalMs: number): Promise<void> {
    await this.#all(() => ({ do: "beat", intervalMs }));
  }

  /** Ends the beating; the milliseconds of each beat, NaN for one that failed. */
  beaten(): Promise<number[]> {
    return this.#all<number[]>(() => ({ do: "beaten" })).then((parts) => parts.flat());
  }

  /** Every VM sends `batches`; `atOnce` are under way over all processes. */
  sendEvents(batches: number, eventsInBatch: number, atOnce: number): Promise<number[]> {
    const share = Math.ceil(atOnce / this.#hosts.length);
    return this.#all<number[]>(() => ({ do: "events", batches, eventsInBatch, atOnce: share })).then((parts) =>
      parts.flat(),
    );
  }

  async report(): Promise<AttemptReport> {
    const reports = await this.#all<AttemptReport>(() => ({ do: "report" }));
    const refusals: Record<string, number> = {};
    for (const report of reports) {
      for (const [status, count] of Object.entries(report.refusals)) {
        refusals[status] = (refusals[status] ?? 0) + count;
      }
    }
    return {
      connected: reports.reduce((sum, { connected }) => sum + connected, 0),
      executed: reports.reduce((sum, { executed }) => sum + executed, 0),
      attempts: reports.flatMap(({ attempts }) => attempts),
      refusals,
    };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all(this.#hosts.map((host) => host.end()));
  }

  #all<T>(task: (host: Host) => HostTask): Promise<T[]> {
    return Promise.all(this.#hosts.map((host) => host.ask(task(host)) as Promise<T>));
  }
}

class Host {
  readonly instances: readonly string[];
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<unknown>>();
  readonly #exited: Promise<void>;
  #nextId = 1;

  constructor(instances: readonly string[]) {
    this.instances = instances;
    this.#child = fork(join(import.meta.dirname, "vm-host.ts"), [], { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    this.#exited = new Promise((resolve) => {
      this.#child.once("exit", (code) => {
        for (const { reject } of this.#waiting.values()) reject(new Error(`a process of VMs ended with ${code}`));
        resolve();
      });
    });
    this.#child.on("message", ({ id, result, error }: { id: number; result?: unknown; error?: string }) => {
      const waiting = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (error === undefined) waiting?.resolve(result);
      else waiting?.reject(new Error(error));
    });
  }

  ask(task: HostTask): Promise<unknown> {
    const id = this.#nextId++;
    const waiting = Promise.withResolvers<unknown>();
    this.#waiting.set(id, waiting);
    this.#child.send({ id, task });
    return waiting.promise;
  }

  async end(): Promise<void> {
    if (this.#child.connected) await this.ask({ do: "stop" }).catch(() => {});
    const force = setTimeout(() => this.#child.kill("SIGKILL"), 10_000);
    await this.#exited;
    clearTimeout(force);
  }
}
