import { isLive, type Sample } from "./sample.ts";

/** Processors in use, 100 being one of them; undefined where nobody has measured it. */
export interface Loads {
  readonly daemon: number | undefined;
  /** By command id. */
  readonly commands: ReadonlyMap<string, number>;
}

interface Times {
  readonly atMs: number;
  /** Milliseconds of processor time. The daemon's is under the empty name, which no command has. */
  readonly cpuMs: ReadonlyMap<string, number>;
}

/** Samples that follow each other faster say little: times are counted in steps of ten milliseconds. */
const windowMsMin = 900;

/**
 * Processor time between samples as a share of a processor. What has no earlier sample is shown with its average since its start; a counter that
 * has gone back is another process's.
 */
export class LoadMeter {
  #before: Times | undefined;

  /** @param atMs when the sample was taken, of a clock that does not jump */
  take(sample: Sample, atMs: number): Loads {
    const now: Times = { atMs, cpuMs: timesOf(sample) };
    const before = this.#before;
    const ages = agesOf(sample);
    const loads = new Map<string, number>();
    for (const [name, cpuMs] of now.cpuMs) {
      const earlier = before?.cpuMs.get(name);
      const isNew = earlier === undefined || earlier > cpuMs || before === undefined || atMs <= before.atMs;
      const [spent, passed] = isNew ? [cpuMs, ages.get(name) ?? 0] : [cpuMs - earlier, atMs - before.atMs];
      if (passed > 0) loads.set(name, (100 * spent) / passed);
    }
    if (before === undefined || atMs - before.atMs >= windowMsMin) this.#before = now;
    const daemon = loads.get("");
    loads.delete("");
    return { daemon, commands: loads };
  }
}

function timesOf({ commands = [], health }: Sample): Map<string, number> {
  const times = new Map<string, number>();
  for (const { command_id: id, usage } of commands) if (usage !== undefined) times.set(id, usage.cpu_time);
  const own = health?.process.cpu_seconds;
  if (own !== undefined) times.set("", own * 1000);
  return times;
}

/** Milliseconds since the start, by the daemon's clock. */
function agesOf({ commands = [], health }: Sample): Map<string, number> {
  if (health === undefined) return new Map();
  const ages = new Map([["", health.uptime * 1000]]);
  for (const command of commands)
    if (isLive(command)) ages.set(command.command_id, (health.timestamp - command.started_at) * 1000);
  return ages;
}
