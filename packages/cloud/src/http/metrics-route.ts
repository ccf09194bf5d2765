import { monitorEventLoopDelay } from "node:perf_hooks";
import type { Clock } from "@hl/core/clock.ts";
import type { FastifyInstance } from "fastify";
import type { Counters } from "../counters.ts";
import type { Fleet } from "../fleet/fleet.ts";
import type { InstanceState, Leases } from "../fleet/leases.ts";
import type { Presence } from "../fleet/presence.ts";
import type { VmLimits } from "../limits/vm-limits.ts";
import type { InstanceStore } from "../store/store.ts";
import type { OperatorGuard } from "./operator-guard.ts";

export interface MetricsRouteOptions {
  readonly instances: Pick<InstanceStore, "ids">;
  readonly fleet: Fleet;
  readonly leases: Leases;
  readonly presence: Presence;
  readonly limits: VmLimits;
  readonly counters: Counters;
  readonly guard: OperatorGuard;
  readonly clock: Clock;
}

/** `[labels, value]`; labels as Prometheus writes them, empty for none. */
type Sample = readonly [labels: string, value: number];
type Metric = readonly [name: string, type: "gauge" | "counter", help: string, samples: readonly Sample[]];

/**
 * The figures of this hl-cloud in the Prometheus text format. An operator's token is needed, of any role that may look
 * (`viewer`): hl-cloud often stands behind a proxy on its own machine, so that "from loopback" would mean everybody.
 */
export function metricsRoute(app: FastifyInstance, options: MetricsRouteOptions): void {
  const { guard, clock } = options;
  const startedAt = clock.now();
  const loop = monitorEventLoopDelay({ resolution: 10 });
  loop.enable();
  app.addHook("onClose", async () => void loop.disable());
  app.get("/metrics", { onRequest: guard.admits("GET /metrics") }, async (_request, reply) => {
    const delays: Sample[] = [
      ['{quantile="0.5"}', loop.percentile(50) / 1e9],
      ['{quantile="0.99"}', loop.percentile(99) / 1e9],
      ['{quantile="1"}', loop.max / 1e9],
    ];
    loop.reset();
    const metrics = [
      ...(await fleetMetrics(options)),
      ...limitMetrics(options.limits),
      ...processMetrics((clock.now() - startedAt) / 1000),
      metric("loop_delay_seconds", "gauge", "Delay of the event loop since the last look", delays),
    ];
    return reply.type("text/plain; version=0.0.4; charset=utf-8").send(metrics.map(textOf).join(""));
  });
}

async function fleetMetrics(options: MetricsRouteOptions): Promise<Metric[]> {
  const { instances, fleet, leases, presence, counters } = options;
  const states: Record<InstanceState, number> = { online: 0, offline: 0, lost: 0 };
  for (const id of await instances.ids()) states[leases.stateOf(id, fleet.connection(id) !== undefined)] += 1;
  const { waiting, sent } = fleet.requestCounts;
  const { heartbeats, eventsStored, eventsRepeated, eventsRejected } = counters;
  return [
    metric("connections", "gauge", "Command channels that are open", fleet.connectedCount),
    metric(
      "instances",
      "gauge",
      "Instances by state",
      Object.entries(states).map(([state, count]) => [`{state="${state}"}`, count]),
    ),
    metric("requests_in_flight", "gauge", "Operators' requests at VMs, unanswered", sent),
    metric("requests_queued", "gauge", "Operators' requests that wait for their VM, of those loaded", waiting),
    metric("heartbeats_total", "counter", "Heartbeats taken", heartbeats),
    metric("events_ingested_total", "counter", "Events stored", eventsStored),
    metric("events_repeated_total", "counter", "Events that were there already", eventsRepeated),
    metric("events_rejected_total", "counter", "Events refused for good", eventsRejected),
    metric("presence_write_failures_total", "counter", "Writes of last_seen that failed", presence.failures),
  ];
}

function limitMetrics(limits: VmLimits): Metric[] {
  const { connections, registrations } = limits;
  const of = (value: (admission: typeof connections) => number): Sample[] => [
    ['{what="connections"}', value(connections)],
    ['{what="registrations"}', value(registrations)],
  ];
  return [
    metric(
      "admitted_total",
      "counter",
      "Let in",
      of(({ admitted }) => admitted),
    ),
    metric(
      "admission_refused_total",
      "counter",
      "Answered 503, come back later",
      of(({ refused }) => refused),
    ),
    metric("rate_limited_total", "counter", "Answered 429: one instance over its rate", [
      ['{what="heartbeats"}', limits.signsOfInstance.refused],
      ['{what="events"}', limits.batchesOfInstance.refused],
      ['{what="registrations"}', limits.registrationsOfInstance.refused],
      ['{what="connections"}', limits.connectionsOfInstance.refused],
      ['{what="renewals"}', limits.renewalsOfInstance.refused],
    ]),
  ];
}

function processMetrics(uptimeSeconds: number): Metric[] {
  const { user, system } = process.cpuUsage();
  return [
    metric("uptime_seconds", "gauge", "Since the start", uptimeSeconds),
    metric("memory_rss_bytes", "gauge", "Resident memory", process.memoryUsage.rss()),
    metric("cpu_seconds_total", "counter", "Processor time", (user + system) / 1e6),
  ];
}

function metric(name: string, type: Metric[1], help: string, value: number | readonly Sample[]): Metric {
  return [`hl_cloud_${name}`, type, help, typeof value === "number" ? [["", value]] : value];
}

function textOf([name, type, help, samples]: Metric): string {
  const lines = samples.map(([labels, value]) => `${name}${labels} ${Number.isFinite(value) ? value : 0}\n`);
  return `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}
