/** Goal: `system/logs`: the newest lines, from rotated files too, bounded in number and bytes, and a follower misses none and has none twice. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { gzipSync } from "node:zlib";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { LiveLines } from "./live-lines.ts";
import { snapshotOf, tailOf } from "./log-tail.ts";
import { RotatingFile } from "./rotating-file.ts";

const numbers = (from: number, to: number): string[] =>
  Array.from({ length: to - from + 1 }, (_, at) => `${from + at}`);
const textOf = (lines: readonly string[]): string => lines.map((line) => `${line}\n`).join("");

async function tail(path: string, lines: number, bytes = 1_000_000): Promise<[readonly string[], boolean]> {
  using snapshot = snapshotOf(path);
  const { lines: found, omitted } = await tailOf(snapshot, lines, bytes);
  return [found, omitted];
}

test("the newest lines of the file, and of rotated ones where it has too few, packed or not, in their order", async () => {
  using folder = temporaryFolder("hl-tail");
  const path = join(folder.path, "a.log");
  assert.deepEqual(await tail(path, 10), [[], false]);
  writeFileSync(`${path}.9.gz`, gzipSync(textOf(numbers(1, 50))));
  writeFileSync(`${path}.10`, textOf(numbers(51, 80)));
  writeFileSync(path, textOf(numbers(81, 100)));
  assert.deepEqual(await tail(path, 0), [[], false]);
  assert.deepEqual(await tail(path, 20), [numbers(81, 100), false]);
  assert.deepEqual(await tail(path, 21), [numbers(80, 100), false]);
  assert.deepEqual(await tail(path, 60), [numbers(41, 100), false]);
  assert.deepEqual(await tail(path, 10_000), [numbers(1, 100), false]);
  writeFileSync(`${path}.11.gz`, gzipSync(textOf(numbers(70, 80))).subarray(0, 12));
  assert.deepEqual((await tail(path, 21))[0].slice(1), numbers(81, 100), "half a packed file is no error");
});

test("lines that do not fit are left out from the oldest on, and that is said; lines over blocks are whole", async () => {
  using folder = temporaryFolder("hl-tail");
  const path = join(folder.path, "a.log");
  const long = "x".repeat(100_000);
  writeFileSync(path, textOf(["first", long, long, "last"]));
  assert.deepEqual(await tail(path, 4), [["first", long, long, "last"], false]);
  assert.deepEqual(await tail(path, 3), [[long, long, "last"], false]);
  assert.deepEqual(await tail(path, 4, 5 + 100_001), [[long, "last"], true]);
  assert.deepEqual(await tail(path, 4, 5 + 100_000), [["last"], true]);
});

test("a snapshot is not changed by what is written and rotated behind it", async () => {
  using folder = temporaryFolder("hl-tail");
  const path = join(folder.path, "a.log");
  writeFileSync(`${path}.1`, textOf(["one"]));
  writeFileSync(path, textOf(["two"]));
  using snapshot = snapshotOf(path);
  writeFileSync(path, textOf(["three"]), { flag: "a" });
  renameSync(path, `${path}.2`);
  writeFileSync(`${path}.1.gz`, gzipSync(readFileSync(`${path}.1`)));
  renameSync(`${path}.1`, join(folder.path, "gone"));
  assert.deepEqual((await tailOf(snapshot, 10, 1_000)).lines, ["one", "two"]);
});

test("a follower gets each line once: what came before is in the file, what comes after is told, over rotations", async () => {
  using folder = temporaryFolder("hl-tail");
  mkdirSync(join(folder.path, "logs"));
  const path = join(folder.path, "logs/a.log");
  const clock = new ManualClock();
  const file = new RotatingFile({
    ...{ path, clock, bytesMax: 500, filesMax: 100, mode: 0o600, compress: false, retentionDays: 7 },
    ...{ frequency: undefined, lostLine: (count) => `lost ${count}` },
  });
  const told: string[] = [];
  let snapshot: ReturnType<typeof snapshotOf> | undefined;
  let stop = (): void => {};
  for (let at = 1; at <= 500; at += 1) {
    file.write(`${at}\n`);
    if (at === 200)
      file.follow(
        (line) => told.push(line),
        (stopIt) => void ([snapshot, stop] = [snapshotOf(path), stopIt]),
      );
    if (at % 50 === 0) await new Promise(setImmediate);
  }
  const begun = await until("it began", () => snapshot);
  file.write("501\n");
  await until("all is told", () => told.at(-1) === "501");
  const { lines } = await tailOf(begun, 10_000, 1_000_000);
  begun[Symbol.dispose]();
  assert.deepEqual([...lines, ...told], numbers(1, 501));
  assert.ok(lines.length >= 200);
  stop();
  file.write("502\n");
  await until("it is written", () => readFileSync(path, "utf8").endsWith("502\n"));
  assert.equal(told.at(-1), "501");
  assert.ok(existsSync(`${path}.1`));
  file.close();
});

test("S2: what waits for a slow reader is bounded, and what is missing is counted in its place", async () => {
  const live = new LiveLines();
  for (let at = 0; at < 1_003; at += 1) live.push(`${at}`);
  const { signal } = new AbortController();
  for (let at = 0; at < 1_000; at += 1) assert.equal(await live.next(signal), `${at}`);
  live.push("later");
  assert.deepEqual([await live.next(signal), await live.next(signal)], [3, "later"]);
  live.push("x".repeat(1024 * 1024 + 1));
  assert.equal(await live.next(signal), 1);
  assert.equal(await live.next(AbortSignal.abort()), undefined);
});
