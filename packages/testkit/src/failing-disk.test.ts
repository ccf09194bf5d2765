/**
 * Goal: the disk fails where and how it is told to, and only there. Method: Node and its SQLite as a program of their own, with the library.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync } from "node:fs";
import { constants } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { FailingDisk, type DiskFailures } from "./failing-disk.ts";
import { temporaryFolder } from "./programs.ts";

/** Says for each thing that a program does to files which error it got, or `ok`. */
const program = `
  const fs = require("node:fs");
  const { DatabaseSync } = require("node:sqlite");
  const [folder, control, ...codes] = process.argv.slice(1);
  const database = new DatabaseSync(folder + "/a.db");
  database.exec("PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; CREATE TABLE IF NOT EXISTS t (x)");
  const file = fs.openSync(folder + "/file", "w+");
  const page = fs.openSync(control, "r+");
  fs.writeSync(page, Buffer.from(new Uint32Array(codes.map(Number)).buffer), 0, 12, 0);
  const said = (work) => { try { work(); return "ok"; } catch (error) { return error.code === "ERR_SQLITE_ERROR" ? "sqlite " + error.errcode : error.code; } };
  const seen = {
    write: said(() => fs.writeSync(file, "x")),
    pwrite: said(() => fs.writeSync(file, "x", 5)),
    writev: said(() => fs.writevSync(file, [Buffer.from("a"), Buffer.from("b")])),
    truncate: said(() => fs.ftruncateSync(file, 1)),
    fsync: said(() => fs.fsyncSync(file)),
    fdatasync: said(() => fs.fdatasyncSync(file)),
    make: said(() => fs.closeSync(fs.openSync(folder + "/new", "w"))),
    open: said(() => fs.closeSync(fs.openSync(folder + "/file", "r"))),
    rename: said(() => fs.renameSync(folder + "/file", folder + "/other")),
    read: said(() => database.prepare("SELECT count(*) FROM t").get()),
    insert: said(() => database.exec("INSERT INTO t VALUES (1)")),
    elsewhere: said(() => fs.writeFileSync(folder + "-beside", "x")),
  };
  process.stdout.write(JSON.stringify(seen));
`;

const well = {
  ...{ write: "ok", pwrite: "ok", writev: "ok", truncate: "ok", fsync: "ok", fdatasync: "ok" },
  ...{ make: "ok", open: "ok", rename: "ok", read: "ok", insert: "ok", elsewhere: "ok" },
};
const [ioWrite, ioFsync] = ["sqlite 778", "sqlite 1034"];
const written = (code: string): object => ({ write: code, pwrite: code, writev: code, truncate: code });

const cases: readonly [failures: DiskFailures, expected: object][] = [
  [{}, {}],
  [{ write: "EIO" }, { ...written("EIO"), insert: ioWrite }],
  [{ sync: "EIO" }, { fsync: "EIO", fdatasync: "EIO", insert: ioFsync }],
  [
    { write: "EROFS", sync: "EROFS", change: "EROFS" },
    { ...written("EROFS"), fsync: "EROFS", fdatasync: "EROFS", make: "EROFS", rename: "EROFS", insert: ioWrite },
  ],
];

test("what is told to fail fails below the folder, with that error, and is counted", (t) => {
  for (const [failures, expected] of cases) {
    using folder = temporaryFolder("failing");
    const below = join(folder.path, "state");
    mkdirSync(below);
    const disk = FailingDisk.build(folder.path);
    if (typeof disk === "string") {
      t.skip(disk);
      return;
    }
    disk.below(below);
    const { errno } = constants;
    const codes = [failures.write, failures.sync, failures.change].map((name) =>
      name === undefined ? 0 : errno[name],
    );
    const args = [
      "--disable-warning=ExperimentalWarning",
      "-e",
      program,
      below,
      disk.env.HL_FAILING_CONTROL,
      ...codes.map(String),
    ];
    const seen = JSON.parse(execFileSync(process.execPath, args, { env: disk.env, encoding: "utf8" })) as object;
    assert.deepEqual(seen, { ...well, ...expected }, JSON.stringify(failures));
    assert.equal(disk.failed > 0, Object.keys(expected).length > 0);
    disk[Symbol.dispose]();
  }
});
