/**
 * Goal: X1: whatever a caller calls a path, it is judged by where it really lies. Method: real folders and links; paths made of all the parts that
 * could lead astray are put together at random, and the kernel's own idea of where they lead (realpath) is the truth.
 */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import fc from "fast-check";
import { Access } from "./access.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "hl-access-")));
after(() => rmSync(root, { recursive: true }));
for (const folder of ["ws/a/b", "ws/blocked/in", "outside/o"]) mkdirSync(join(root, folder), { recursive: true });
for (const file of ["ws/f", "ws/a/f", "ws/blocked/f", "outside/f"]) writeFileSync(join(root, file), "");
symlinkSync("../outside", join(root, "ws/out"));
symlinkSync("blocked", join(root, "ws/to-blocked"));
symlinkSync("../../ws/a", join(root, "ws/a/around"));
symlinkSync("../outside/not-there", join(root, "ws/dangling"));
symlinkSync("loop", join(root, "ws/loop"));
symlinkSync("../ws/a", join(root, "outside/back"));

const workspace = join(root, "ws");
const access = (): Access =>
  new Access({ workspace, allowedPaths: [workspace], blockedPaths: [join(workspace, "blocked")] });

const verdict = (work: () => string): string | undefined => {
  try {
    return work();
  } catch (error) {
    assert.ok(error instanceof HlError && error.type === "path_denied", String(error));
    return undefined;
  }
};

const part = fc.constantFrom(
  "a",
  "b",
  "f",
  "in",
  "o",
  "out",
  "blocked",
  "to-blocked",
  "around",
  "dangling",
  "loop",
  "back",
  "..",
  ".",
  "",
  "new",
);
const path = fc
  .tuple(fc.constantFrom("", "/", `${workspace}/`, `${root}/`, `${root}/outside/`), fc.array(part, { maxLength: 7 }))
  .map(([start, parts]) => `${start}${parts.join("/")}`)
  .filter((text) => text !== "");

const isIn = (place: string, folder: string): boolean => place === folder || place.startsWith(`${folder}/`);

test("X1: a path that exists is let through exactly where its real place is allowed and not blocked", () => {
  fc.assert(
    fc.property(path, (text) => {
      let real: string;
      try {
        real = realpathSync(resolve(workspace, text));
      } catch {
        return; // The next test has these.
      }
      const wanted = isIn(real, workspace) && !isIn(real, join(workspace, "blocked"));
      assert.equal(
        verdict(() => access().follow(text)),
        wanted ? real : undefined,
        text,
      );
    }),
    { numRuns: 3_000 },
  );
});

test("X1: whatever is let through, existing or not, lies inside the workspace by its text and by its nearest real parent", () => {
  fc.assert(
    fc.property(path, (text) => {
      for (const place of [verdict(() => access().follow(text)), verdict(() => access().name(text))]) {
        if (place === undefined) continue;
        assert.ok(isIn(place, workspace) && !isIn(place, join(workspace, "blocked")), `${text} → ${place}`);
        assert.equal(place, resolve(place), "no part of it leads anywhere else");
      }
    }),
    { numRuns: 3_000 },
  );
});

test("a name is the link itself, and the folder that holds it is followed", () => {
  assert.equal(access().name("out"), join(workspace, "out"));
  assert.equal(access().name("a/around/f"), join(workspace, "a/f"));
  assert.equal(
    verdict(() => access().name("out/f")),
    undefined,
  );
  assert.equal(
    verdict(() => access().follow("out")),
    undefined,
  );
});

test("an allowed path that is a link stands for where it leads, and a blocked one blocks both", () => {
  symlinkSync("ws", join(root, "ws-link"));
  const linked = new Access({
    workspace: join(root, "ws-link"),
    allowedPaths: [join(root, "ws-link")],
    blockedPaths: [join(root, "ws-link/to-blocked")],
  });
  assert.equal(linked.follow("."), workspace);
  assert.equal(linked.name("."), workspace);
  assert.equal(linked.follow("f"), join(workspace, "f"));
  assert.equal(
    verdict(() => linked.follow("blocked/f")),
    undefined,
  );
});

test("what holds a blocked or an allowed path may not be moved or removed", () => {
  for (const held of [workspace, root]) assert.throws(() => access().refuseAround(held, held), /has to stay/);
  access().refuseAround(join(workspace, "a"), "a");
});
