/**
 * Goal: X1, what the kernel is told never opens a blocked path, neither by its name nor by a link that leads to it.
 * Method: real folders and links. A rule opens what lies beneath the real place of its path, which is what `opens` asks; a link
 * inside a folder that is allowed as a whole is the kernel's business, because Landlock judges the file that it leads to.
 */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { isWithin } from "@hl/core/places.ts";
import { sandboxRules, systemRules, type ComputedRules } from "./rules.ts";

function tree(...files: string[]): { readonly root: string } & Disposable {
  const folder = temporaryFolder("hl-rules");
  const root = realpathSync(folder.path);
  for (const file of files) {
    mkdirSync(dirname(join(root, file)), { recursive: true });
    if (file.endsWith("/")) mkdirSync(join(root, file), { recursive: true });
    else writeFileSync(join(root, file), "");
  }
  return { root, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

/** Whether the kernel would open the file: a rule is made for the place that its path leads to. */
function opens(rules: ComputedRules, file: string): boolean {
  const real = realpathSync(file);
  return [...rules.read, ...rules.write].some((rule) => {
    try {
      return isWithin(real, realpathSync(rule));
    } catch {
      return false; // The shim skips what is not there.
    }
  });
}

const inside = (rules: readonly string[], root: string): string[] =>
  rules.filter((rule) => isWithin(rule, root)).sort();

describe("sandbox rules", () => {
  test("X1: a blocked path inside an allowed one is computed around, level by level", () => {
    using files = tree("work/a/one", "work/b/deep/secret", "work/b/deep/open", "work/b/beside", "work/c");
    const at = (path: string): string => join(files.root, path);
    const rules = sandboxRules({ allowedPaths: [at("work")], blockedPaths: [at("work/b/deep/secret")] });
    assert.deepEqual(inside(rules.write, files.root), [
      at("work/a"),
      at("work/b/beside"),
      at("work/b/deep/open"),
      at("work/c"),
    ]);
  });

  test("X1: an allowed path that is blocked, lies inside a blocked one or does not exist opens nothing that is there", () => {
    using files = tree("work/a", "other/b");
    const at = (path: string): string => join(files.root, path);
    const rules = (allowedPaths: string[], blockedPaths: string[]): string[] =>
      inside(sandboxRules({ allowedPaths, blockedPaths }).write, files.root);
    assert.deepEqual(rules([at("work")], [at("work")]), []);
    assert.deepEqual(rules([at("work/a")], [at("work")]), []);
    assert.deepEqual(rules([at("missing")], [at("missing/secret")]), []);
    assert.deepEqual(rules([at("missing")], []), [at("missing")]); // The shim skips it while it is not there.
    assert.deepEqual(rules([at("work")], [at("wor"), at("work/a/x/../../../other")]), [at("work")]);
  });

  test("X1: the daemon's own folders are never opened, also when `data` is allowed and the home is reached by a link", () => {
    using files = tree(
      "home/data/auth/token",
      "home/data/state/daemon.db",
      "home/data/cache/x",
      "home/config/daemon.json",
    );
    symlinkSync(join(files.root, "home"), join(files.root, "opt"));
    for (const [allowed, own] of [
      ["home", "home"],
      ["opt", "home"],
      ["home", "opt"],
      ["opt", "opt"],
    ] as const) {
      const rules = sandboxRules({
        allowedPaths: [join(files.root, allowed, "data")],
        blockedPaths: ["data/auth", "data/state", "config"].map((path) => join(files.root, own, path)),
      });
      assert.ok(opens(rules, join(files.root, "home/data/cache/x")));
      for (const secret of ["data/auth/token", "data/state/daemon.db", "config/daemon.json"]) {
        assert.ok(!opens(rules, join(files.root, "home", secret)), `${allowed}, ${own}: ${secret} is open`);
      }
    }
  });

  test("X1: a link beside a blocked path gets no rule, so it opens neither that path nor the world", () => {
    using files = tree("work/secret/key", "work/open/file", "outside/file");
    const at = (path: string): string => join(files.root, path);
    symlinkSync(at("work/secret"), at("work/alias"));
    symlinkSync("/", at("work/world"));
    const rules = sandboxRules({ allowedPaths: [at("work")], blockedPaths: [at("work/secret")] });
    assert.ok(opens(rules, at("work/open/file")));
    assert.ok(!opens(rules, at("work/secret/key")));
    assert.ok(!opens(rules, at("outside/file")));
  });

  test("X1: a blocked path that is a link, or behind one, is blocked where it really lies", () => {
    using files = tree("work/real/key", "work/open/file");
    const at = (path: string): string => join(files.root, path);
    symlinkSync(at("work/real"), at("work/secret"));
    symlinkSync(at("work"), at("alias"));
    for (const blocked of ["work/secret", "alias/real", "alias/secret"]) {
      for (const allowed of ["work", "alias"]) {
        const rules = sandboxRules({ allowedPaths: [at(allowed)], blockedPaths: [at(blocked)] });
        assert.ok(!opens(rules, at("work/real/key")), `${allowed} opens ${blocked}`);
        assert.ok(opens(rules, at("work/open/file")));
      }
    }
  });

  test("X1: what a process puts in the place of the private home opens nothing to the next one", () => {
    using files = tree("temp/home/", "outside/file");
    const at = (path: string): string => join(files.root, path);
    // The shipped configuration allows the folder that holds the private ones, so a process may replace them.
    renameSync(at("temp/home"), at("temp/old"));
    symlinkSync("/", at("temp/home"));
    symlinkSync("/", at("temp/run"));
    const policy = { allowedPaths: [at("temp")], blockedPaths: [] };
    const rules = sandboxRules(policy, { write: [at("temp/home"), at("temp/run")], read: [at("temp/home/bin")] });
    assert.ok(!opens(rules, at("outside/file")));
    assert.deepEqual(inside(rules.write, files.root), [at("temp")]);
  });

  test("X1: of two nested allowed paths only the outer one is a rule, so a link in the inner one's place opens nothing", () => {
    using files = tree("home/dev/file", "outside/file");
    const at = (path: string): string => join(files.root, path);
    symlinkSync(at("outside"), at("home/dev/project"));
    const rules = sandboxRules({ allowedPaths: [at("home/dev/project"), at("home/dev")], blockedPaths: [] });
    assert.ok(!opens(rules, at("outside/file")));
    assert.deepEqual(inside(rules.write, files.root), [at("home/dev")]);
  });

  test("X1: what the daemon adds is in the rules, also where the lists do not allow it", () => {
    using files = tree("work/file", "temp/run/", "tools/bin/agent");
    const at = (path: string): string => join(files.root, path);
    const rules = sandboxRules(
      { allowedPaths: [at("work")], blockedPaths: [at("temp")] },
      { write: [at("temp/run")], read: [at("tools"), at("temp/secret")] },
    );
    assert.deepEqual(inside(rules.write, files.root), [at("temp/run"), at("work")]);
    assert.deepEqual(inside(rules.read, files.root), [at("tools")]); // Blocked holds for what is read.
  });

  test("X1: no rule is above, at or below a blocked path, whatever the lists say", () => {
    using files = tree("a/a/a", "a/a/b", "a/b/a", "b/a/a", "b/b/b", "c/c/c", "a/c/b");
    const name = fc.constantFrom("a", "b", "c", "missing");
    const path = fc.array(name, { minLength: 1, maxLength: 3 }).map((parts) => join(files.root, ...parts));
    const paths = fc.array(path, { maxLength: 4 });
    fc.assert(
      fc.property(paths, paths, (allowedPaths, blockedPaths) => {
        const { read, write } = sandboxRules({ allowedPaths, blockedPaths });
        for (const rule of [...read, ...write]) {
          for (const blocked of blockedPaths) {
            assert.ok(!isWithin(rule, blocked) && !isWithin(blocked, rule), `${rule} opens ${blocked}`);
          }
        }
        // Nothing is open that no list allows, and rules do not repeat each other.
        const own = inside(write, files.root);
        for (const rule of own) assert.ok(allowedPaths.some((allowed) => isWithin(rule, allowed)));
        for (const rule of own) assert.equal(own.filter((other) => isWithin(rule, other)).length, 1);
      }),
      { numRuns: 300 },
    );
  });

  test("X1: blocked system paths are taken out of what every process may read", () => {
    const rules = sandboxRules({ allowedPaths: [], blockedPaths: ["/etc/passwd", "/usr/share", "/dev/tty"] });
    assert.ok(!opens(rules, "/etc/passwd"));
    assert.ok(!opens(rules, "/usr/share"));
    assert.ok(opens(rules, "/usr/bin/env"));
    assert.ok(!rules.write.includes("/dev/tty"));
    assert.ok(rules.write.includes("/dev/null"));
  });

  test("X1: the system's rules hold only for the policy and the places that they were computed from", () => {
    using files = tree("work/a", "other/b");
    const at = (path: string): string => join(files.root, path);
    const policy = { allowedPaths: [at("work")], blockedPaths: [at("link")] };
    const given = systemRules(policy)!;
    assert.deepEqual(sandboxRules(policy, {}, given), { read: [], write: [at("work")] });
    assert.equal(sandboxRules({ ...policy, allowedPaths: ["/usr"] }, {}, given), undefined);
    assert.equal(sandboxRules({ ...policy, blockedPaths: ["/usr"] }, {}, given), undefined);
    symlinkSync("/usr", at("link")); // What is blocked leads into the system's now.
    assert.equal(sandboxRules(policy, {}, given), undefined);
    assert.ok(!systemRules(policy)!.read.includes("/usr"));
    // What lies beside a blocked path is looked up each time.
    assert.equal(systemRules({ ...policy, blockedPaths: ["/usr/share/secret"] }), undefined);
  });
});
