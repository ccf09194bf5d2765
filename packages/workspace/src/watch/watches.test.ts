/**
 * Goal: S2: a watch tells every change of a tree, or that it missed some. Method: real folders and real inotify; a marker file that is made last tells
 * when all before it has been seen, so that nothing sleeps; where events are to be missed, the limit at which that counts is set low.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import {
  appendFileSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import type { FileChanged } from "@hl/protocol/methods/file-watch.ts";
import { Access } from "../access.ts";
import { listFolder } from "../list-folder.ts";
import { Watches, type WatchLimits } from "./watches.ts";

const never = new AbortController().signal;

interface World {
  readonly root: string;
  readonly watches: Watches;
  readonly id: string;
  /** All that is told until the marker has been seen. */
  readonly settle: () => Promise<FileChanged[]>;
}

async function world(
  t: TestContext,
  options: { limits?: Partial<WatchLimits>; recursive?: boolean; prepare?: (root: string) => void } = {},
): Promise<World> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-watch-")));
  options.prepare?.(root);
  const access = new Access({ workspace: root, allowedPaths: [root], blockedPaths: [join(root, "blocked")] });
  const watches = new Watches(systemClock, options.limits);
  const exclude = ["node_modules", ".git"];
  const params = { path: ".", recursive: options.recursive ?? true, exclude };
  const { watch_id: id } = await watches.begin(access, params, never);
  t.after(() => {
    watches.end(id);
    rmSync(root, { recursive: true, force: true });
  });
  let markers = 0;
  const settle = async (): Promise<FileChanged[]> => {
    const marker = `marker-${(markers += 1)}`;
    writeFileSync(join(root, marker), "");
    const told: FileChanged[] = [];
    for (;;) {
      const batch = await watches.next(id, never);
      const isLast = batch.changes.some(({ path }) => path === marker) || batch.ended !== undefined;
      told.push({ ...batch, changes: batch.changes.filter(({ path }) => !path.startsWith("marker-")) });
      if (isLast) return told;
    }
  };
  return { root, watches, id, settle };
}

const linesOf = (told: FileChanged[]): string[] =>
  told
    .flatMap(({ changes, gap }) => [
      ...(gap === true ? ["gap"] : []),
      ...changes.map(({ type, path }) => `${type} ${path}`),
    ])
    .sort();

test("files and folders that come, change, move and go are told, those of new folders too", async (t) => {
  const { root, settle } = await world(t);
  mkdirSync(join(root, "a/b"), { recursive: true });
  writeFileSync(join(root, "a/b/f"), "1");
  assert.deepEqual(linesOf(await settle()), ["created a", "created a/b", "created a/b/f"]);
  appendFileSync(join(root, "a/b/f"), "2");
  assert.deepEqual(linesOf(await settle()), ["modified a/b/f"]);
  writeFileSync(join(root, "a/next"), "atomic");
  renameSync(join(root, "a/next"), join(root, "a/b/f"));
  assert.deepEqual(linesOf(await settle()), ["modified a/b/f"]);
  renameSync(join(root, "a/b"), join(root, "c"));
  assert.deepEqual(linesOf(await settle()), ["created c", "created c/f", "deleted a/b", "deleted a/b/f"]);
  writeFileSync(join(root, "c/f"), "3");
  assert.deepEqual(linesOf(await settle()), ["modified c/f"], "it is watched under its new name");
  rmSync(join(root, "c"), { recursive: true });
  assert.deepEqual(linesOf(await settle()), ["deleted c", "deleted c/f"]);
});

test("a hundred writes within the time are one change; what comes and goes within it is none", async (t) => {
  const { root, settle } = await world(t);
  for (let index = 0; index < 100; index += 1) appendFileSync(join(root, "log"), "line\n");
  writeFileSync(join(root, "gone"), "");
  rmSync(join(root, "gone"));
  assert.deepEqual(linesOf(await settle()), ["created log"]);
});

test("excluded and blocked folders are not looked at, links are not followed, and nothing below without recursive", async (t) => {
  const prepare = (root: string): void => {
    for (const path of ["node_modules/m", "pkg/node_modules/m", ".git", "blocked"])
      mkdirSync(join(root, path), { recursive: true });
    symlinkSync(tmpdir(), join(root, "link"));
  };
  const { root, settle } = await world(t, { prepare });
  for (const folder of ["node_modules/m", "pkg/node_modules/m", ".git", "blocked"])
    writeFileSync(join(root, folder, "f"), "");
  writeFileSync(join(root, "pkg/f"), "");
  writeFileSync(join(root, ".hl-upload-x"), "a part");
  assert.deepEqual(linesOf(await settle()), ["created pkg/f"]);
  const flat = await world(t, { recursive: false, prepare });
  writeFileSync(join(flat.root, "pkg/f"), "");
  writeFileSync(join(flat.root, "f"), "");
  assert.deepEqual(linesOf(await flat.settle()), ["created f"]);
});

test("S2: a burst in which the kernel may have dropped events is a gap, and the watch sees all that follows", async (t) => {
  const { root, settle } = await world(t, { limits: { burstEventsMax: 20 } });
  for (let index = 0; index < 50; index += 1) mkdirSync(join(root, `d${index}`));
  const told = await settle();
  assert.ok(told.some(({ gap }) => gap === true));
  writeFileSync(join(root, "d49/f"), "");
  assert.deepEqual(linesOf(await settle()), ["created d49/f"], "new folders are watched in spite of it");
});

test("S2: more changes than are kept for a reader that does not come are a gap", async (t) => {
  const { root, settle } = await world(t, { limits: { pendingMax: 10 } });
  for (let index = 0; index < 20; index += 1) writeFileSync(join(root, `f${index}`), "");
  assert.ok((await settle()).some(({ gap }) => gap === true));
});

test("S2: a name that is no text is a gap: somebody has to look", async (t) => {
  const { root, settle } = await world(t);
  writeFileSync(Buffer.concat([Buffer.from(`${root}/bad-`), Buffer.from([0xff])]), "");
  assert.ok((await settle()).some(({ gap }) => gap === true));
});

test("a watch ends, and says why, when its folder goes; others cannot be too many or too large", async (t) => {
  const { root, settle } = await world(t, { prepare: (folder) => mkdirSync(join(folder, "inner")) });
  renameSync(root, `${root}-moved`);
  t.after(() => rmSync(`${root}-moved`, { recursive: true }));
  mkdirSync(root);
  writeFileSync(`${root}-moved/f`, ""); // An event of the folder that was.
  assert.match((await settle()).at(-1)?.ended ?? "", /removed or moved/);
  await assert.rejects(world(t, { limits: { watchesMax: 0 } }), /0 watches are there/);
  const many = (folder: string): void => {
    for (let index = 0; index < 10; index += 1) writeFileSync(join(folder, `f${index}`), "");
  };
  await assert.rejects(world(t, { limits: { namesMax: 9 }, prepare: many }), /more than 9 names/);
});

test("P7: a watch whose caller leaves before it is begun is none, however many there were", async (t) => {
  const prepare = (root: string): void => {
    mkdirSync(join(root, "a/b/c/d/e/f/g/h"), { recursive: true });
  };
  const { root, watches } = await world(t, { prepare });
  const access = new Access({ workspace: root, allowedPaths: [root], blockedPaths: [] });
  const params = { path: ".", recursive: true, exclude: [] };
  for (let round = 0; round < 70; round += 1) {
    const leaving = new AbortController();
    const begun = watches.begin(access, params, leaving.signal);
    if (round % 2 === 0) setImmediate(() => leaving.abort(new Error("left")));
    else leaving.abort(new Error("left"));
    await assert.rejects(begun, /left/);
  }
  watches.end((await watches.begin(access, params, never)).watch_id);
});

test("S2: folders inside that come and go at once end neither the watch nor a list", async (t) => {
  const { root, watches, id, settle } = await world(t);
  const script = "while :; do mkdir -p $0/x/y; rmdir $0/x/y $0/x; done 2>/dev/null";
  const loops = ["one", "two"].map((name) => {
    mkdirSync(join(root, name));
    return spawn("sh", ["-c", script, join(root, name)], { stdio: "ignore" });
  });
  t.after(() => loops.forEach((loop) => loop.kill("SIGKILL")));
  const access = new Access({ workspace: root, allowedPaths: [root], blockedPaths: [] });
  const listing = { path: ".", depth: 9, limit: 1_000, include_hidden: true, gitignore: false };
  for (let round = 0; round < 300; round += 1) {
    await listFolder(access, listing, never);
    watches.end((await watches.begin(access, { path: ".", recursive: true, exclude: [] }, never)).watch_id);
  }
  for (const loop of loops) {
    const gone = once(loop, "exit");
    loop.kill("SIGKILL");
    await gone;
  }
  assert.ok(
    (await settle()).every(({ ended }) => ended === undefined),
    id,
  );
});
