/**
 * Goal: S4: a disk that is full or failing degrades: the ballast carries what is critical, delivered events go, and all is well again when
 * there is room. Method: SQLite's own limit of pages as the full disk, failures injected into the sync, and a really small file system
 * where one may be mounted.
 */
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { isDiskFailure, isNoSpace } from "@hl/core/store/sqlite-error.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { Ballast, ballastBytes, lastBytesMax } from "./ballast.ts";
import { Database } from "./database.ts";
import { EventSpool } from "./event-spool.ts";
import type { SpoolText } from "./spool-text.ts";
import type { NewEvent } from "./spooled-event.ts";
import { perLane } from "./lane-use.ts";

const event = (id: string): NewEvent => ({
  id,
  type: "t",
  lane: "critical",
  body: JSON.stringify({ event_id: id, pad: "x".repeat(20_000) }) as SpoolText,
});

interface Fixture extends Disposable {
  readonly path: string;
  readonly database: Database;
  readonly spool: EventSpool;
}

function fixture(folder: Disposable & { readonly path: string } = temporaryFolder("hl-full")): Fixture {
  const path = join(folder.path, "daemon.db");
  const database = new Database(path);
  const spool = new EventSpool(database, () => 0);
  database.makeRoomWith(() => spool.deleteDelivered());
  const dispose = (): void => {
    database[Symbol.dispose]();
    folder[Symbol.dispose]();
  };
  return { path, database, spool, [Symbol.dispose]: dispose };
}

const pages = (database: Database): number => database.prepare("PRAGMA page_count").get()?.["page_count"] as number;

describe("a database that may not grow", () => {
  test("S4: delivered events go for new ones, at the first write that finds no room, and nobody notices", async () => {
    using f = fixture();
    for (let at = 0; at < 20; at += 1) await f.spool.append(event(`old${at}`));
    await f.spool.acknowledge(perLane(20));
    f.database.prepare(`PRAGMA max_page_count = ${pages(f.database)}`).get();
    const ids = Array.from({ length: 15 }, (_, at) => `new${at}`);
    await Promise.all(ids.map((id) => f.spool.append(event(id))));
    assert.equal(f.database.trouble?.kind, "disk_full");
    assert.deepEqual([f.spool.depth, f.spool.after(0, 100).length], [15, 15]);
  });

  test("S2, S4: where nothing can go the write is refused with the reason; reads go on, and room again is enough", async () => {
    using f = fixture();
    for (let at = 0; at < 20; at += 1) await f.spool.append(event(`e${at}`));
    await f.database.checkSpace();
    f.database.prepare(`PRAGMA max_page_count = ${pages(f.database)}`).get();
    await assert.rejects(f.spool.append(event("more")), /full/);
    assert.equal(f.database.trouble?.kind, "disk_full");
    assert.equal(f.spool.pending("critical", 100, 10_000_000).length, 20);
    f.database.prepare("PRAGMA max_page_count = 1000000").get();
    await f.spool.append(event("more"));
    assert.equal(f.database.trouble.kind, "disk_full"); // Until there is a ballast again.
    await f.database.checkSpace();
    assert.equal(f.database.trouble, undefined);
    assert.equal(statSync(`${f.path}.ballast`).size, ballastBytes);
  });
});

describe("a disk that fails", () => {
  test("S4: another failure is told while it lasts, and the first write that succeeds ends it", async () => {
    using f = fixture();
    f.database.prepare("PRAGMA query_only = ON").get();
    await assert.rejects(f.spool.append(event("a")), /readonly/);
    assert.equal(f.database.trouble?.kind, "disk_failing");
    assert.match(f.database.trouble.reason, /readonly/);
    f.database.prepare("PRAGMA query_only = OFF").get();
    await f.spool.append(event("a"));
    assert.equal(f.database.trouble, undefined);
  });
});

describe("the ballast", () => {
  test("S4: it takes up real blocks, gives them all, and can be made again", async () => {
    using folder = temporaryFolder("hl-ballast");
    const path = join(folder.path, "ballast");
    const ballast = new Ballast(path);
    assert.equal(ballast.isThere, false);
    for (let round = 0; round < 2; round += 1) {
      await ballast.make();
      assert.equal(ballast.isThere, true);
      assert.ok(statSync(path).blocks * 512 >= ballastBytes);
      assert.equal(statSync(path).mode & 0o777, 0o600);
      ballast.release();
      assert.deepEqual([ballast.isThere, statSync(path).size], [false, lastBytesMax]);
      ballast.releaseAll();
      assert.deepEqual([ballast.isThere, statSync(path).blocks], [false, 0]);
      ballast.takeLast();
      assert.ok(statSync(path).blocks * 512 >= lastBytesMax);
    }
  });
});

/** A file system of 48 MiB, or why there can be none here. */
function smallDisk(): (Disposable & { readonly path: string }) | string {
  const folder = temporaryFolder("hl-small");
  const path = join(folder.path, "disk");
  mkdirSync(path);
  const mounted = spawnSync("mount", ["-t", "tmpfs", "-o", "size=48m", "tmpfs", path], { encoding: "utf8" });
  if (mounted.status === 0) {
    const unmount = (): void => {
      execFileSync("umount", [path]);
      folder[Symbol.dispose]();
    };
    return { path, [Symbol.dispose]: unmount };
  }
  folder[Symbol.dispose]();
  return `no small file system can be mounted: ${mounted.stderr || String(mounted.error)}`;
}

describe("what tells of want of room", () => {
  test("S4: a full disk and a used-up quota are one, whoever says it; a broken disk is another", () => {
    const full = [{ errcode: 13 }, { code: "ENOSPC", errno: -28 }, { code: "Unknown system error -122", errno: -122 }];
    for (const error of full) assert.deepEqual([isNoSpace(error), isDiskFailure(error)], [true, false]);
    for (const error of [{ errcode: 778 }, { code: "EIO", errno: -5 }, { code: "EROFS", errno: -30 }])
      assert.deepEqual([isNoSpace(error), isDiskFailure(error)], [false, true]);
  });

  test("has the size that is configured", async () => {
    using folder = temporaryFolder("hl-ballast");
    const path = join(folder.path, "daemon.db");
    using database = new Database(path, systemClock, silentLogger, 4 * 2 ** 20);
    await database.checkSpace();
    assert.equal(statSync(`${path}.ballast`).size, 4 * 2 ** 20);
  });

  test("S4: a ballast that is released while it is made is not made, and a look for room leaves it as it was", async () => {
    using folder = temporaryFolder("hl-ballast");
    const ballast = new Ballast(join(folder.path, "ballast"));
    const making = ballast.make();
    ballast.release();
    await assert.rejects(making, /full/);
    assert.equal(ballast.isThere, false);
    await ballast.make();
    assert.equal(ballast.lacksRoom(), false);
    assert.equal(statSync(join(folder.path, "ballast")).size, ballastBytes);
  });
});

describe("a file system that is really full", () => {
  test("S1, S4: what is critical goes on for long, nothing that was accepted is lost, and it recovers by itself", async (t) => {
    const disk = smallDisk();
    if (typeof disk === "string") {
      t.skip(disk);
      return;
    }
    using f = fixture(disk);
    await f.database.checkSpace();
    const filler = join(disk.path, "filler");
    assert.equal(spawnSync("dd", ["if=/dev/zero", `of=${filler}`, "bs=64k"]).status, 1); // To the last block.
    const accepted: string[] = [];
    const fill = async (): Promise<void> => {
      for (let at = 0; at < 2_000; at += 1) {
        await f.spool.append(event(`e${at}`));
        accepted.push(`e${at}`);
      }
    };
    await assert.rejects(fill, /full/);
    assert.equal(new Ballast(`${f.path}.ballast`).lacksRoom(), true);
    assert.equal(f.database.trouble?.kind, "disk_full");
    assert.ok(accepted.length * 20_000 > ballastBytes / 4, `only ${accepted.length} were taken on the ballast`);
    await f.database.checkSpace();
    assert.equal(f.database.trouble.kind, "disk_full");
    // What the cloud takes makes room without a free block.
    const half = f.spool.pending("critical", Math.floor(accepted.length / 2), 1e9).at(-1)!.seq;
    await f.spool.acknowledge(perLane(half));
    const next = f.spool.nextSeq;
    for (let at = 0; at < 10; at += 1) await f.spool.append(event(`after${at}`));
    assert.equal(f.spool.nextSeq, next + 10);
    rmSync(filler);
    await f.database.checkSpace();
    assert.equal(f.database.trouble, undefined);
    assert.equal(statSync(`${f.path}.ballast`).size, ballastBytes);
    const kept = f.spool
      .pending("critical", 10_000, 1e9)
      .map(({ body }) => (JSON.parse(body) as { event_id: string }).event_id);
    assert.deepEqual(kept, [
      ...accepted.slice(Math.floor(accepted.length / 2)),
      ...Array.from({ length: 10 }, (_, at) => `after${at}`),
    ]);
  });

  test("S4: a daemon that starts on a full disk opens its database", async (t) => {
    const disk = smallDisk();
    if (typeof disk === "string") {
      t.skip(disk);
      return;
    }
    const path = join(disk.path, "daemon.db");
    {
      using database = new Database(path);
      await database.checkSpace();
      await new EventSpool(database, () => 0).append(event("a"));
    }
    spawnSync("dd", ["if=/dev/zero", `of=${join(disk.path, "filler")}`, "bs=64k"]);
    for (const name of ["more", "still more"]) {
      try {
        writeFileSync(join(disk.path, name), "x".repeat(4_096));
      } catch {
        // Full, as it should be.
      }
    }
    using f = fixture(disk);
    assert.equal(f.spool.depth, 1);
    await f.spool.append(event("b"));
    assert.equal(f.spool.depth, 2);
    assert.equal(f.database.trouble?.kind, "disk_full");
  });
});
