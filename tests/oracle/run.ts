/**
 * One run of the oracle: load and faults together for so long, then no faults, a bounded recovery and drain, and the verdict.
 */
import { systemClock } from "@hl/core/clock.ts";
import { http } from "@hl/testkit/http.ts";
import { testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { CommandLedger, type CommandVerdict } from "./command-ledger.ts";
import { CommandLoad } from "./command-load.ts";
import { EventLedger, type EventVerdict } from "./event-ledger.ts";
import { EventLoad } from "./event-load.ts";
import { damageDatabase, damages, whyNoDamage } from "./damaged-database.ts";
import { FaultTurns } from "./fault-turns.ts";
import { faults } from "./faults/faults.ts";
import { eventId } from "./payload.ts";
import { Random } from "./random.ts";
import { Recovery } from "./recovery.ts";
import { laneSchedule, type Lane } from "./schedule.ts";
import type { World } from "./world.ts";

export interface OracleReport {
  readonly events: EventVerdict;
  readonly commands: CommandVerdict;
  /** How often which fault came, and how much it has hit. */
  readonly faults: Readonly<Record<string, FaultCount>>;
  readonly cuts: number;
  /** Events that the cloud got again although it had them. */
  readonly duplicatesRemoved: number;
  readonly longestRecoveryMs: number;
  /** From the end of the last fault until the daemon was healthy and its spool empty. */
  readonly drainMs: number;
  /** Whether an event that was handed over after it all came through. */
  readonly freshEventPassed: boolean;
  readonly freshCommandPassed: boolean;
  /** Kinds of damage to the database behind which no event came through. */
  readonly notRecovered: readonly string[];
}

export interface FaultCount {
  readonly times: number;
  readonly hits: number;
}

export interface OracleOptions {
  readonly seed: string;
  readonly faultsMs: number;
  /** Told what is done, when it is done. */
  readonly log: (line: string) => void;
}

/** Between two faults of a lane: the cloud is there for most of the time, or nothing would ever be under way. */
const pauseMs = { daemon: [500, 5_000], path: [300, 2_000], cloud: [3_000, 10_000] } as const;
/** As Vector's own oracle has them. */
const healthyMsMax = 180_000;
const drainMsMax = 120_000;
/** Of a calm moment; enough that the daemon's own events do not hide a fresh one. */
const newestCount = 60;

/** Faults that cannot be had in this world, with the reason. */
export function missingFaults(world: World): { readonly name: string; readonly reason: string }[] {
  const reasons = faults.map(({ name, missing }) => ({ name, reason: missing?.(world) }));
  reasons.push({ name: "database damaged", reason: whyNoDamage() });
  return reasons.flatMap(({ name, reason }) => (reason === undefined ? [] : [{ name, reason }]));
}

export async function runOracle(world: World, options: OracleOptions): Promise<OracleReport> {
  const { seed, log } = options;
  const eventLedger = new EventLedger();
  const commandLedger = new CommandLedger();
  await using events = new EventLoad(seed, world, eventLedger);
  using commands = new CommandLoad(seed, world, commandLedger);
  const recovery = new Recovery(seed, world.cloud, log);

  const load = new AbortController();
  const watching = new AbortController();
  // Also where a fault itself goes wrong.
  using _stop = { [Symbol.dispose]: () => [load, watching].forEach((one) => one.abort()) };
  const loads = Promise.all([events.run(load.signal), commands.run(load.signal)]);
  const watch = recovery.run(watching.signal);
  const counts = await runFaults(world, { ...options, onEnd: () => recovery.faultEnded(events.next) });
  const calmAtMs = systemClock.now();
  log("the faults are over");
  await healthy(world);
  log(`healthy after ${seconds(systemClock.now() - calmAtMs)}`);
  load.abort();
  await loads;
  await commands.settle(drainMsMax);
  await drained(world);
  const drainMs = systemClock.now() - calmAtMs;
  log(`drained after ${seconds(drainMs)}`);

  const fresh = eventId(seed, events.next + 1_000_000);
  const freshEventPassed = (await events.handOver(fresh)) && (await arrives(world, fresh));
  log(`a fresh event ${freshEventPassed ? "passed" : "did not pass"}`);
  const freshCommand = await commands.execute(new Random(fresh));
  log("a fresh command is answered");
  watching.abort();
  await watch;
  const notRecovered = whyNoDamage() === undefined ? await damageAll(world, events, options) : [];
  await readAll(world, eventLedger);
  log("everything is read");
  commands.countEffects();
  const verdict = eventLedger.verdict();
  const commandVerdict = commandLedger.verdict();
  return {
    events: verdict,
    commands: commandVerdict,
    faults: counts,
    cuts: world.proxy.cuts,
    duplicatesRemoved: Math.max(0, world.proxy.copies - verdict.delivered),
    longestRecoveryMs: recovery.longestMs,
    drainMs,
    freshEventPassed,
    freshCommandPassed: commandLedger.isCompleted(freshCommand),
    notRecovered,
  };
}

/**
 * Every lane by itself. On a busy machine a fault takes longer than planned, because a program has to start again; what would begin after
 * the end is left out. Resolves with those that can be had, also where they did not come.
 */
async function runFaults(
  world: World,
  { seed, faultsMs, log, onEnd }: OracleOptions & { readonly onEnd: () => void },
): Promise<Record<string, FaultCount>> {
  const available = faults.filter(({ missing }) => missing?.(world) === undefined);
  const endMs = systemClock.now() + faultsMs;
  const lanes = [...new Set(available.map(({ lane }) => lane))];
  const counts: Record<string, FaultCount> = {};
  for (const { name } of available) counts[name] = { times: 0, hits: 0 };
  const turns = new FaultTurns();
  const failed = new AbortController(); // A fault that goes wrong ends the run, and with it the others.
  const { signal } = failed;
  await Promise.all(
    lanes.map(async (lane: Lane) => {
      const random = new Random(`${seed} faults ${lane}`);
      for (const fault of laneSchedule(lane, available, { seed, lengthMs: faultsMs, pauseMs })) {
        if (systemClock.now() + fault.pauseMs > endMs) return;
        await systemClock.sleep(fault.pauseMs, signal).catch(() => {});
        if (signal.aborted) return;
        const { name, forMs } = fault;
        const kind = available.find((one) => one.name === name);
        if (kind === undefined) continue;
        const work = async (): Promise<void> => {
          log(`${name} for ${seconds(forMs)}`);
          const hits = await kind.run(world, forMs, random);
          log(`${name} is over: ${hits} hit`);
          const before = counts[name] ?? { times: 0, hits: 0 };
          counts[name] = { times: before.times + 1, hits: before.hits + hits };
        };
        await turns.take(kind.alone === true, work).catch((error: unknown) => {
          failed.abort();
          throw error;
        });
        onEnd();
      }
    }),
  );
  return counts;
}

/** Every kind of damage, one behind the other; resolves with those behind which no event came through. */
async function damageAll(world: World, events: EventLoad, { seed, log }: OracleOptions): Promise<string[]> {
  const failed: string[] = [];
  for (const [index, [name, damage]] of Object.entries(damages).entries()) {
    await damageDatabase(world, damage, new Random(`${seed} ${name}`));
    await world.operator.online(healthyMsMax);
    await drained(world);
    const id = eventId(seed, events.next + 2_000_000 + index);
    const passed = (await events.handOver(id)) && (await arrives(world, id));
    log(`database damaged (${name}): a fresh event ${passed ? "passed" : "did not pass"}`);
    if (!passed) failed.push(name);
  }
  return failed;
}

async function healthy({ daemon, operator }: World): Promise<void> {
  await operator.online(healthyMsMax);
  await until("the daemon to be healthy", async () => (await healthOf(daemon)).status === "healthy", healthyMsMax);
}

async function drained({ daemon }: World): Promise<void> {
  await until("the spool to be empty", async () => (await healthOf(daemon)).spool.depth === 0, drainMsMax);
}

async function healthOf(daemon: World["daemon"]): Promise<{ status: string; spool: { depth: number } }> {
  return (await daemon.post({ jsonrpc: "2.0", id: 1, method: "system/health", params: { detailed: true } })).result;
}

/** Among the newest: to read all of a long run from its beginning would keep the cloud from taking the event. */
async function arrives({ cloud: { url, operatorToken: token } }: World, id: string): Promise<boolean> {
  const path = `/v1/instances/${testInstanceId}/events`;
  const isThere = async (): Promise<boolean> => {
    for (let query = `last=${newestCount}`; ;) {
      const { json } = await http(`${url}${path}?${query}`, { token });
      if ((json.events as { event_id: string }[]).some(({ event_id }) => event_id === id)) return true;
      if (json.events.length === 0) return false;
      query = `after=${json.next}`; // A page has its own limits.
    }
  };
  return until("a fresh event", isThere, drainMsMax).then(
    () => true,
    () => false,
  );
}

/** The whole of what the cloud has, from its first event on, page by page. */
async function readAll({ cloud: { url, operatorToken: token } }: World, ledger: EventLedger): Promise<void> {
  for (let after = 0; ;) {
    const path = `/v1/instances/${testInstanceId}/events?after=${after}&limit=500`;
    const { json } = await http(`${url}${path}`, { token });
    if (json.events.length === 0) return;
    for (const event of json.events) {
      if (event.event_type === "oracle.event") ledger.delivered(event);
      else if (event.event_type === "gap") ledger.told(event.data);
    }
    after = json.next;
  }
}

export function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
