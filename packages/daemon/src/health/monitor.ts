import type { Clock } from "@hl/core/clock.ts";
import { LoopService } from "@hl/core/service.ts";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import { AlertBook, statusOf, type AlertChange, type Condition } from "./alert-book.ts";
import { LoopDelay } from "./loop-delay.ts";
import { Measured, type Measure } from "./measured.ts";
import { ownFigures, SystemSampler, type SystemMetrics } from "./system-metrics.ts";

export type Health = ResultOf<typeof systemHealth>;

/** What the monitor asks of the other parts; compose.ts answers from the real ones. */
export interface HealthSources {
  readonly spool: () => Health["spool"];
  readonly commands: () => Health["commands"];
  readonly agents: () => readonly { process_id: string; status: string }[];
  readonly agentUsage: () => Health["agents"]["usage"];
  /** The newest one has. */
  readonly agentFailed: () => boolean;
  /** One hangs, or is about to be started again. */
  readonly agentFailing?: (() => boolean) | undefined;
  /** Of all and what they have started, as last seen. */
  readonly agentMemoryBytes?: (() => number) | undefined;
  readonly cloud: () => Health["cloud"] & { readonly connected: boolean; readonly lastError: string | undefined };
  /** Whether events are sent at all; true where nobody says otherwise. */
  readonly areEventsSent?: (() => boolean) | undefined;
  /** Checks of the registry that hold now: the runner, the store, the sandbox. */
  readonly conditions: () => readonly Condition[];
  /** What else is measured once a round, such as the share of requests that failed. */
  readonly measures?: (() => readonly Measure[]) | undefined;
}

export interface HealthThresholds {
  readonly cpuPercent: number;
  readonly memoryPercent: number;
  readonly diskPercent: number;
  /** Per core: 2.0 on four cores is a load of 8. */
  readonly loadPerCore: number;
  /** Of the event loop, the 99th percentile of a round; not looked at where it is undefined. */
  readonly loopDelayMs?: number | undefined;
}

export interface MonitorOptions {
  readonly version: string;
  readonly clock: Clock;
  readonly sources: HealthSources;
  readonly thresholds: HealthThresholds;
  readonly cores: number;
  readonly diskPath: string;
  readonly intervalMs: number;
  /** False: nothing is checked by itself, only when somebody asks. True by default. */
  readonly enabled?: boolean | undefined;
  /** Looks at the event loop while rounds are made; one of its own by default. */
  readonly loopDelay?: LoopDelay | undefined;
  /** The verdict is another one. */
  readonly onChange: (health: Health) => void;
  /** An alert begins or ends. */
  readonly onAlert?: ((change: AlertChange) => void) | undefined;
  /** The figures of each check, as they go on the wire. */
  readonly onSample: (metrics: Health["system_metrics"]) => void;
}

/** Asked within this time again, the figures of the machine are not read again: health is cheap however often it is asked. */
const sampleAgeMsMax = 1_000;
const recentErrorsMax = 20;

/** Watches and tells: the verdict follows from the registry of checks and from which of them hold, and from nothing else. */
export class HealthMonitor extends LoopService {
  override readonly name = "health/monitor";
  readonly #options: MonitorOptions;
  readonly #sampler: SystemSampler;
  readonly #startedAt: number;
  readonly #loopDelay: LoopDelay;
  readonly #measured = new Measured();
  readonly #book: AlertBook;
  #recentErrors: string[] = [];
  #metrics: SystemMetrics;
  #sampledAt: number;
  #lastStatus: Health["status"] | undefined;
  #awake = Promise.withResolvers<undefined>();

  constructor(options: MonitorOptions) {
    super();
    this.#options = options;
    this.#loopDelay = options.loopDelay ?? new LoopDelay();
    this.#sampler = new SystemSampler(options.diskPath);
    this.#book = new AlertBook(options.clock);
    this.#startedAt = options.clock.now();
    this.#metrics = this.#sampler.sample();
    this.#sampledAt = options.clock.now();
  }

  get uptimeSeconds(): number {
    return (this.#options.clock.now() - this.#startedAt) / 1000;
  }

  /** Kept for `recent_errors`; messages only. */
  noteError(message: string): void {
    this.#recentErrors = [...this.#recentErrors.slice(1 - recentErrorsMax), message];
  }

  read(detailed: boolean): Health {
    const { clock, sources, version } = this.#options;
    if (clock.now() - this.#sampledAt > sampleAgeMsMax) this.#sample();
    const alerts = this.#book.alerts([...sources.conditions(), ...this.#measured.conditions]);
    const { connected, lastError, ...cloud } = sources.cloud();
    const agents = sources.agents();
    const running = agents.filter((agent) => agent.status !== "ended").length;
    return {
      status: statusOf(alerts),
      timestamp: clock.wallMs() / 1000,
      uptime: this.uptimeSeconds,
      version,
      system_metrics: wireMetrics(this.#metrics),
      service_status: {
        claude_code: this.#agentsStatus(running),
        api_connection: connected ? "connected" : lastError === undefined ? "disconnected" : "error",
        event_streaming: cloud.configured && connected && sources.areEventsSent?.() !== false ? "active" : "inactive",
      },
      ...(detailed ? { recent_errors: this.#recentErrors } : {}),
      alerts,
      agents: {
        running,
        usage: sources.agentUsage(),
        ...(sources.agentMemoryBytes === undefined
          ? {}
          : { memory_mb: Math.round(sources.agentMemoryBytes() / 2 ** 20) }),
        ...(detailed ? { list: [...agents] } : {}),
      },
      spool: sources.spool(),
      commands: sources.commands(),
      cloud,
      process: { ...ownFigures(), loop_delay_ms: this.#loopDelay.ms },
    };
  }

  #agentsStatus(running: number): Health["service_status"]["claude_code"] {
    const { agentFailed, agentFailing } = this.#options.sources;
    if (agentFailing?.() === true) return "error";
    return running > 0 ? "running" : agentFailed() ? "error" : "stopped";
  }

  /** Its settings are others now: a round is made at once. */
  settingsChanged(): void {
    this.#awake.resolve(undefined);
  }

  /** Tells `onAlert` each alert that has begun or ended, and `onChange` when the verdict differs from the last one told. */
  check(): void {
    const health = this.read(true);
    for (const change of this.#book.changes()) this.#options.onAlert?.(change);
    if (health.status === this.#lastStatus) return;
    this.#lastStatus = health.status;
    this.#options.onChange(health);
  }

  protected override async run(signal: AbortSignal): Promise<void> {
    signal.addEventListener("abort", () => this.#awake.resolve(undefined), { once: true });
    try {
      while (!signal.aborted) {
        this.#awake = Promise.withResolvers();
        if (this.#options.enabled === false) this.#rest();
        else this.#round();
        const cancel = this.#options.clock.after(this.#options.intervalMs, () => this.#awake.resolve(undefined));
        await this.#awake.promise;
        cancel();
      }
    } finally {
      this.#loopDelay.stop();
    }
  }

  /** Nothing is checked, so nothing is measured for a check either. */
  #rest(): void {
    this.#measured.forget();
    this.#loopDelay.stop();
  }

  #round(): void {
    this.#sample();
    this.#measured.round(this.#measures());
    this.#options.onSample(wireMetrics(this.#metrics));
    this.check();
    this.#loopDelay.round();
  }

  #sample(): void {
    this.#metrics = this.#sampler.sample();
    this.#sampledAt = this.#options.clock.now();
  }

  #measures(): readonly Measure[] {
    const { thresholds, cores, sources } = this.#options;
    const { cpuPercent, memoryPercent, diskPercent, load } = this.#metrics;
    const { loopDelayMs } = thresholds;
    return [
      { code: "cpu_high", value: cpuPercent, limit: thresholds.cpuPercent },
      { code: "memory_high", value: memoryPercent, limit: thresholds.memoryPercent },
      { code: "disk_high", value: diskPercent, limit: thresholds.diskPercent },
      { code: "load_high", value: load[0] / cores, limit: thresholds.loadPerCore },
      ...(loopDelayMs === undefined
        ? []
        : [{ code: "loop_delayed" as const, value: this.#loopDelay.ms, limit: loopDelayMs }]),
      ...(sources.measures?.() ?? []),
    ];
  }
}

function wireMetrics(metrics: SystemMetrics): Health["system_metrics"] {
  return {
    cpu_usage: metrics.cpuPercent,
    memory_usage: metrics.memoryUsedMb,
    disk_usage: metrics.diskPercent,
    load_average: [...metrics.load],
    network_io: { bytes_sent: metrics.bytesSent, bytes_received: metrics.bytesReceived },
  };
}
