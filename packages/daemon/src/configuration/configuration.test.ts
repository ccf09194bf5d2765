/**
 * Goal: whatever goes wrong on the way, file and running daemon say the same afterwards, and what they said before.
 * Method: a home on disk, a write that fails as a disk does, and somebody who cannot take his part.
 */
import assert from "node:assert/strict";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test, type TestContext } from "node:test";
import { overridesFile } from "@hl/config/load.ts";
import { writeFileAtomic } from "@hl/core/atomic-file.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { makeDaemonHome, temporaryFolder } from "@hl/testkit/programs.ts";
import { makeHomeFolders } from "../host-facts.ts";
import { LiveConfig } from "../compose/live-config.ts";
import { Configuration, findConfiguration } from "./configuration.ts";

interface World {
  readonly home: string;
  readonly live: LiveConfig;
  readonly configuration: Configuration;
  /** The next writes fail with it. */
  failure: Error | undefined;
}

function world(t: TestContext, config: Readonly<Record<string, object>> = {}): World {
  const folder = temporaryFolder("hl-configuration");
  t.after(() => folder[Symbol.dispose]());
  makeDaemonHome(folder.path, config);
  makeHomeFolders(folder.path, undefined);
  const found = findConfiguration({ home: folder.path, testMode: true, env: {}, files: {} });
  assert.ok(found.ok);
  const live = new LiveConfig(found.config);
  const made: { -readonly [Name in keyof World]: World[Name] } = {
    home: folder.path,
    live,
    failure: undefined,
    configuration: new Configuration({
      live,
      found,
      write: (path, text) => {
        if (made.failure !== undefined) throw made.failure;
        writeFileAtomic(path, text, 0o640);
      },
    }),
  };
  return made;
}

const level = (value: string): Parameters<Configuration["update"]>[0] => ({ at: ["logging", "level"], data: value });
const refusedWith = (type: string) => (error: unknown) => error instanceof HlError && error.type === type;
const failed = (code: string): Error => Object.assign(new Error(`${code}: that did not work`), { code });

test("a disk that is full, read-only or failing: refused with the reason, nothing changed, and later it works", (t) => {
  const f = world(t);
  for (const [code, type] of [
    ["ENOSPC", "no_space"],
    ["EROFS", "config_not_saved"],
    ["EACCES", "config_not_saved"],
    ["EIO", "config_not_saved"],
  ] as const) {
    f.failure = failed(code);
    assert.throws(() => f.configuration.update(level("DEBUG"), false), refusedWith(type), code);
    assert.equal(f.configuration.inForce.daemon.logging.level, "INFO");
    assert.ok(!existsSync(overridesFile(f.home)));
  }
  f.failure = undefined;
  f.configuration.update(level("DEBUG"), false);
  assert.equal(f.configuration.inForce.daemon.logging.level, "DEBUG");
});

test("somebody who cannot take his part: the file is as before, too", (t) => {
  const f = world(t);
  f.live.follow(
    ({ daemon }) => daemon.logging.level,
    (now) => {
      if (now === "ERROR") throw new Error("not that");
    },
  );
  f.configuration.update(level("WARN"), false);
  assert.throws(() => f.configuration.update(level("ERROR"), false), /not that/);
  assert.equal(f.configuration.inForce.daemon.logging.level, "WARN");
  assert.deepEqual(JSON.parse(readFileSync(overridesFile(f.home), "utf8")), { logging: { level: "WARN" } });
});

test("overrides that are too large are refused before anything is written", (t) => {
  const f = world(t);
  const environment = Object.fromEntries(Array.from({ length: 20 }, (_, index) => [`V${index}`, "x".repeat(60_000)]));
  const change = { at: ["claude_integration", "environment"], data: environment };
  assert.throws(() => f.configuration.update(change, false), refusedWith("config_invalid"));
  assert.ok(!existsSync(overridesFile(f.home)));
});

test("what is set again as it is does not touch the disk", (t) => {
  const f = world(t);
  f.configuration.update(level("DEBUG"), false);
  f.failure = failed("ENOSPC");
  assert.deepEqual(f.configuration.update(level("DEBUG"), false).changes, []);
});

test("a reload takes overrides that were changed by hand, and refuses those that are wrong", (t) => {
  const f = world(t);
  writeFileSync(overridesFile(f.home), '{"logging": {"level": "DEBUG"}}');
  assert.equal(f.configuration.reload().ok, true);
  assert.equal(f.configuration.inForce.daemon.logging.level, "DEBUG");
  writeFileSync(overridesFile(f.home), '{"logging": {"level": "LOUD"}}');
  const outcome = f.configuration.reload();
  assert.ok(!outcome.ok && outcome.problems[0]?.pointer === "/logging/level");
  assert.equal(f.configuration.inForce.daemon.logging.level, "DEBUG");
  // And what was read then is what the next update goes on from.
  f.configuration.update({ at: ["logging", "levels"], data: { cloud: "DEBUG" } }, false);
  assert.deepEqual(JSON.parse(readFileSync(overridesFile(f.home), "utf8")), {
    logging: { level: "DEBUG", levels: { cloud: "DEBUG" } },
  });
});

test("a stopping daemon changes nothing", (t) => {
  const f = world(t);
  f.configuration.close();
  assert.throws(() => f.configuration.update(level("DEBUG"), false), refusedWith("shutting_down"));
  assert.ok(!existsSync(join(f.home, "data/state/config-overrides.json")));
});
