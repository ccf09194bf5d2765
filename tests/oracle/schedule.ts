/**
 * When which fault comes: a pure function of the seed. Each lane has its own faults one after the other; the lanes meet as they like,
 * so that a daemon dies while the path is cut and the cloud is away.
 */
import { Random } from "./random.ts";

export type Lane = "daemon" | "path" | "cloud";

export interface FaultKind {
  readonly name: string;
  readonly lane: Lane;
  /** How many cards of its lane's deck it is. */
  readonly weight: number;
  /** How long it lasts. */
  readonly msMin: number;
  readonly msMax: number;
}

export interface PlannedFault {
  readonly name: string;
  readonly lane: Lane;
  /** Since the fault before it in its lane has ended: however long that took on a busy machine, things work in between. */
  readonly pauseMs: number;
  readonly forMs: number;
}

export interface SchedulePlan {
  readonly seed: string;
  readonly lengthMs: number;
  /** The least and the most between two faults of a lane. */
  readonly pauseMs: Readonly<Record<Lane, readonly [min: number, max: number]>>;
}

/** What comes in one lane, together at most `lengthMs` long. The whole deck is dealt before any kind comes again. */
export function laneSchedule(lane: Lane, kinds: readonly FaultKind[], plan: SchedulePlan): PlannedFault[] {
  const random = new Random(`${plan.seed} ${lane}`);
  const deck = kinds
    .filter((kind) => kind.lane === lane)
    .flatMap((kind) => Array.from({ length: kind.weight }, () => kind));
  const faults: PlannedFault[] = [];
  let hand: FaultKind[] = [];
  for (let endMs = 0; ;) {
    if (hand.length === 0) hand = random.shuffle(deck);
    const kind = hand.pop();
    if (kind === undefined) return faults;
    const pauseMs = random.between(...plan.pauseMs[lane]);
    const forMs = random.between(kind.msMin, kind.msMax);
    endMs += pauseMs + forMs;
    if (endMs > plan.lengthMs) return faults;
    faults.push({ name: kind.name, lane, pauseMs, forMs });
  }
}
