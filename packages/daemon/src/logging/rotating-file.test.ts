/**
 * Goal: every line is in the file or in a rotated one, in order and once, whatever happens to the file; what had no room is counted (S2, S4).
 * Method: real files, time moved by hand.
 */
import assert from "node:assert/strict";
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { gunzipSync } from "node:zlib";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { RotatingFile, type RotatingFileOptions } from "./rotating-file.ts";
import { periodOf } from "./rotation.ts";

const dayMs = 86_400_000;

interface World extends Disposable {
  readonly file: RotatingFile;
  readonly clock: ManualClock;
  readonly folder: string;
  readonly path: string;
  open(more?: Partial<RotatingFileOptions>): RotatingFile;
  /** Rotated files and the current one, the oldest first. */
  names(): string[];
  /** All lines, the oldest first. */
  lines(): string[];
  text(): string;
}

function world(options: Partial<RotatingFileOptions> = {}): World {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder("hl-log")).path;
  const path = join(folder, "logs", "x.log");
  const clock = new ManualClock();
  const open: World["open"] = (more = {}) => {
    const file = new RotatingFile({
      ...{
        path,
        clock,
        mode: 0o640,
        bytesMax: 100,
        filesMax: 100,
        compress: false,
        retentionDays: 7,
        frequency: undefined,
      },
      lostLine: (count, reason) => `lost ${count}: ${reason}`,
      ...options,
      ...more,
    });
    stack.defer(() => file.close());
    return file;
  };
  const number = (name: string): number => Number(/\.(\d+)/.exec(name)?.[1] ?? Infinity);
  const names: World["names"] = () =>
    readdirSync(join(folder, "logs")).sort((one, other) => number(one) - number(other));
  const read = (name: string): string => {
    const bytes = readFileSync(join(folder, "logs", name));
    return (name.endsWith(".gz") ? gunzipSync(bytes) : bytes).toString();
  };
  const lines: World["lines"] = () => names().flatMap((name) => read(name).split("\n").slice(0, -1));
  const text: World["text"] = () => (existsSync(path) ? readFileSync(path, "utf8") : "");
  return { file: open(), clock, folder, path, open, names, lines, text, [Symbol.dispose]: () => stack.dispose() };
}

const written = (w: World, last: string): Promise<unknown> => until(last, () => w.text().endsWith(`${last}\n`));

describe("rotating file", () => {
  test("lines are written in order; the file has the mode that was asked for, whatever made it", async () => {
    using w = world({ mode: 0o600 });
    mkdirSync(join(w.folder, "logs"));
    writeFileSync(w.path, "before\n", { mode: 0o644 });
    for (const line of ["a", "b", "c"]) w.file.write(`${line}\n`);
    await written(w, "c");
    assert.equal(w.text(), "before\na\nb\nc\n");
    assert.equal(statSync(w.path).mode & 0o777, 0o600);
  });

  test("no file is larger than it may be, no line is torn, none is missing", async () => {
    using w = world({ bytesMax: 100 });
    const all = Array.from({ length: 200 }, (_, at) => `line ${at} ${"x".repeat(at % 30)}`);
    for (const line of all) w.file.write(`${line}\n`);
    await written(w, all.at(-1) ?? "");
    assert.deepEqual(w.lines(), all);
    for (const name of w.names()) assert.ok(statSync(join(w.folder, "logs", name)).size <= 100, name);
  });

  test("a line that is larger than a file may be has one of its own", async () => {
    using w = world({ bytesMax: 100 });
    for (const line of ["a", "x".repeat(500), "b"]) w.file.write(`${line}\n`);
    await written(w, "b");
    assert.deepEqual(w.lines(), ["a", "x".repeat(500), "b"]);
    assert.equal(w.names().length, 3);
  });

  test("so many rotated files are kept, the newest; with none the file begins anew", async () => {
    using w = world({ bytesMax: 10, filesMax: 3 });
    for (let at = 0; at < 9; at += 1) w.file.write(`line${at}67\n`);
    await written(w, "line867");
    assert.deepEqual(w.lines(), ["line567", "line667", "line767", "line867"]);
    using none = world({ bytesMax: 10, filesMax: 0 });
    for (let at = 0; at < 9; at += 1) none.file.write(`line${at}67\n`);
    await written(none, "line867");
    assert.deepEqual(none.names(), ["x.log"]);
  });

  test("rotated files are packed with the mode of the file; what a crash has left is packed and removed", async () => {
    using w = world({ bytesMax: 10, compress: true, mode: 0o600 });
    mkdirSync(join(w.folder, "logs"));
    writeFileSync(`${w.path}.6`, "old\n");
    writeFileSync(`${w.path}.5.gz.tmp`, "half");
    for (let at = 0; at < 3; at += 1) w.file.write(`line${at}67\n`);
    await written(w, "line267");
    await w.file.settled();
    assert.deepEqual(w.names(), ["x.log.6.gz", "x.log.7.gz", "x.log.8.gz", "x.log"]);
    assert.deepEqual(w.lines(), ["old", "line067", "line167", "line267"]);
    assert.equal(statSync(`${w.path}.7.gz`).mode & 0o777, 0o600);
  });

  test("a new day is a new file, also when the file is of a day before the start", async () => {
    using w = world({ frequency: "daily" });
    w.file.write("first\n");
    await written(w, "first");
    utimesSync(w.path, 0, 0);
    await w.clock.advance(dayMs - 1);
    w.file.write("same day\n");
    await written(w, "same day");
    await w.clock.advance(1);
    w.file.write("next day\n");
    await written(w, "next day");
    assert.equal(w.text(), "next day\n");
    w.file.close();
    utimesSync(w.path, dayMs / 1000, dayMs / 1000);
    await w.clock.advance(dayMs);
    w.open({ frequency: "daily" }).write("after a restart\n");
    await written(w, "after a restart");
    assert.deepEqual(w.lines(), ["first", "same day", "next day", "after a restart"]);
    assert.equal(w.text(), "after a restart\n");
  });

  test("an hour, a day and a week have the borders that people expect", () => {
    const at = (text: string): number => Date.parse(text);
    const isNew = (frequency: "hourly" | "daily" | "weekly", one: string, other: string): boolean =>
      periodOf(frequency, at(one)) !== periodOf(frequency, at(other));
    assert.ok(isNew("hourly", "2026-11-29T10:59:59.999Z", "2026-11-29T11:00:00Z"));
    assert.ok(!isNew("daily", "2026-11-29T00:00:00Z", "2026-11-29T23:59:59.999Z"));
    assert.ok(isNew("weekly", "2026-11-29T23:59:59.999Z", "2026-11-30T00:00:00Z"), "Sunday to Monday");
    assert.ok(!isNew("weekly", "2026-11-30T00:00:00Z", "2026-12-06T23:59:59.999Z"));
  });

  test("rotated files over their age are removed", async () => {
    using w = world({ bytesMax: 10, retentionDays: 7 });
    await w.clock.advance(30 * dayMs);
    mkdirSync(join(w.folder, "logs"));
    for (const [number, day] of [
      [1, 22.9],
      [2, 23.1],
    ] as const) {
      writeFileSync(`${w.path}.${number}`, `${number}\n`);
      utimesSync(`${w.path}.${number}`, (day * dayMs) / 1000, (day * dayMs) / 1000);
    }
    w.file.write("now\n");
    await written(w, "now");
    assert.deepEqual(w.names(), ["x.log.2", "x.log"]);
  });

  test("a file that logrotate has moved away, or emptied, or that was removed with its folder, is made again", async () => {
    using w = world({ bytesMax: 1000 });
    w.file.write("one\n");
    await written(w, "one");
    renameSync(w.path, `${w.path}.1`);
    await w.clock.advance(1_000);
    w.file.write("two\n");
    await written(w, "two");
    assert.equal(readFileSync(`${w.path}.1`, "utf8"), "one\n");
    truncateSync(w.path);
    await w.clock.advance(1_000);
    w.file.write("three\n");
    await written(w, "three");
    assert.equal(w.text(), "three\n");
    rmSync(join(w.folder, "logs"), { recursive: true });
    await w.clock.advance(1_000);
    w.file.write("four\n");
    await written(w, "four");
    assert.equal(w.text(), "four\n");
  });

  test("S2, S4: while the file takes nothing, lines wait; what has no room is counted behind them; nothing is thrown", async () => {
    using w = world({ waitingBytesMax: 20, bytesMax: 1000 });
    writeFileSync(join(w.folder, "logs"), "no folder");
    for (let at = 0; at < 9; at += 1) w.file.write(`line${at}\n`);
    await until("the trouble", () => w.file.trouble !== undefined);
    assert.match(w.file.trouble ?? "", /EEXIST|ENOTDIR/);
    await w.clock.advance(1_000); // Still not.
    assert.notEqual(w.file.trouble, undefined);
    rmSync(join(w.folder, "logs"));
    await w.clock.advance(1_000);
    await until("the lines", () => w.text().includes("lost"));
    assert.match(w.text(), /^line0\nline1\nline2\nlost 6: E\w+.*\n$/);
    assert.equal(w.file.trouble, undefined);
    w.file.write("again\n");
    await written(w, "again");
  });

  test("what waits is written before the process ends, once", async () => {
    using w = world({ bytesMax: 10_000 });
    w.file.write("one\n");
    await written(w, "one");
    for (const line of ["two", "three"]) w.file.write(`${line}\n`);
    w.file.flushSync();
    assert.equal(w.text(), "one\ntwo\nthree\n");
    w.file.write("four\n");
    w.file.close();
    assert.equal(w.text(), "one\ntwo\nthree\nfour\n");
    w.file.write("nobody hears it\n");
    w.file.close();
  });
});
