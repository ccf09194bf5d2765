/**
 * Goal: S1, S2, C1, C2 under faults that nobody has thought through: whatever the daemon has accepted is in the cloud once and unchanged, and
 * every command that the cloud has taken on had its effect once. Method: hl-daemon and hl-cloud as processes, a proxy of ours between
 * them, an oracle (this process) that is never killed and remembers every answer; faults by a seeded schedule, then none, then the verdict.
 *
 * HL_TEST_SEED repeats a schedule, HL_TEST_ORACLE_MINUTES makes it longer (minutes of faults; hours are fine).
 */
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { test } from "node:test";
import { missingFaults, runOracle, seconds, type FaultCount, type OracleReport } from "./run.ts";
import { startWorld } from "./world.ts";

const seed = process.env["HL_TEST_SEED"] ?? randomBytes(4).toString("hex");
const minutes = Number(process.env["HL_TEST_ORACLE_MINUTES"] ?? 0.8);
const shownMax = 10;

test("S1, S2, C1, C2: what was acknowledged has happened exactly once, whatever was killed, cut, filled or answered in between", async (t) => {
  await using world = await startWorld();
  t.diagnostic(`HL_TEST_SEED=${seed} repeats this schedule of ${minutes} minutes`);
  for (const { name, reason } of missingFaults(world)) t.diagnostic(`NOT TESTED: ${name}: ${reason}`);
  const lines: string[] = [];
  const startedAt = performance.now();
  const log = (line: string): void => void lines.push(`${seconds(performance.now() - startedAt)}  ${line}`);
  let report: OracleReport;
  try {
    report = await runOracle(world, { seed, faultsMs: minutes * 60_000, log });
    for (const line of figuresOf(report)) t.diagnostic(line);
    judge(report);
    if (process.env["HL_TEST_VERBOSE"] !== undefined) process.stdout.write(`${lines.join("\n")}\n`);
  } catch (error) {
    const tail = world.daemon.log.split("\n").slice(-40).join("\n");
    process.stdout.write(`HL_TEST_SEED=${seed}\n${lines.join("\n")}\nthe daemon's log ends with\n${tail}\n`);
    throw error;
  }
});

function figuresOf({ events, commands, ...report }: OracleReport): string[] {
  const came = Object.entries(report.faults).filter(([, { times }]) => times > 0);
  const names = (wanted: (count: FaultCount) => boolean): string[] =>
    Object.entries(report.faults).flatMap(([name, count]) => (wanted(count) ? [name] : []));
  const [missed, absent] = [names(({ times, hits }) => times > 0 && hits === 0), names(({ times }) => times === 0)];
  const faults = came.map(([name, { times, hits }]) => `${name} ${times} (${hits})`);
  const endings = Object.entries(commands.endings).map(([name, count]) => `${name} ${count}`);
  return [
    `events: issued ${events.issued}, accepted ${events.accepted}, refused ${events.refused}, delivered ${events.delivered}, duplicates removed ${report.duplicatesRemoved}`,
    `events: missing ${events.missing.length}, missing and told by a gap ${events.toldMissing.length}, doubled ${events.doubled.length}, corrupt ${events.corrupt.length}, spurious ${events.spurious.length}, misjudged ${events.misjudged.length}`,
    `events of the largest size accepted: ${events.atLimit}, of one byte more refused: ${events.overLimit}`,
    `commands: issued ${commands.issued}, acknowledged ${commands.acknowledged}, effects ${commands.effects}; ended: ${endings.join(", ")}`,
    `commands: without effect ${commands.withoutEffect.length}, repeated ${commands.repeated.length}, without end ${commands.endless.length}, contradictory ${commands.contradictory.length}, spurious ${commands.spurious.length}`,
    `faults, and how much each has hit: ${faults.join(", ")}; connections cut ${report.cuts}`,
    ...(missed.length === 0 ? [] : [`HAS HIT NOTHING: ${missed.join(", ")}`]),
    ...(absent.length === 0 ? [] : [`NOT REACHED in this time: ${absent.join(", ")}`]),
    `longest recovery ${seconds(report.longestRecoveryMs)}, drained ${seconds(report.drainMs)} after the last fault`,
  ];
}

function judge({ events, commands, freshEventPassed, freshCommandPassed, notRecovered }: OracleReport): void {
  const some = (ids: readonly string[]): readonly string[] => ids.slice(0, shownMax);
  const { missing, doubled, corrupt, spurious, misjudged } = events;
  const found = { missing, doubled, corrupt, spurious, misjudged };
  assert.deepEqual(Object.fromEntries(Object.entries(found).map(([name, ids]) => [name, some(ids)])), {
    missing: [],
    doubled: [],
    corrupt: [],
    spurious: [],
    misjudged: [],
  });
  const { withoutEffect, repeated, endless, contradictory } = commands;
  const wrong = { withoutEffect, repeated, endless, contradictory, spurious: commands.spurious };
  assert.deepEqual(wrong, { withoutEffect: [], repeated: [], endless: [], contradictory: [], spurious: [] });
  assert.ok(freshEventPassed, "a fresh event did not come through");
  assert.ok(freshCommandPassed, "a fresh command did not complete");
  assert.deepEqual(notRecovered, [], "the database was damaged, and no event came through any more");
  // A run in which next to nothing was accepted has shown nothing; a full disk refuses fast, and so much of it.
  assert.ok(events.accepted > events.issued / 10, `only ${events.accepted} of ${events.issued} events were accepted`);
  assert.ok(commands.completed > commands.issued / 10, `only ${commands.completed} of ${commands.issued} completed`);
}
