/** Goal: a newer configuration takes over what a running daemon can, and says what waits. Method: two configurations, no daemon. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { loadConfig, type Config } from "@hl/config/load.ts";
import { makeDaemonHome, temporaryFolder } from "@hl/testkit/programs.ts";
import { LiveConfig } from "./live-config.ts";

function configWith(sections: Readonly<Record<string, object>>): Config {
  using folder = temporaryFolder("hl-live");
  makeDaemonHome(folder.path, sections);
  const loaded = loadConfig({ home: folder.path, testMode: true, env: {}, files: {} });
  assert.ok(loaded.ok, JSON.stringify(loaded));
  return { ...loaded.config, home: "/home" };
}

const timeoutOf = ({ daemon }: Config): number => daemon.claude_integration.approvals.timeout_seconds;
const level = (name: string): Config => configWith({ logging: { level: name } });

test("live keys are taken over, with their sources; the rest waits until it is taken back", () => {
  const rules = [{ tool: "Bash", decision: "deny" }];
  const start = configWith({ claude_integration: { approvals: { timeout_seconds: 60 } } });
  const live = new LiveConfig(start);
  const next = configWith({ claude_integration: { approvals: { rules } }, logging: { backup_count: 77 } });
  live.take(next);
  const { approvals } = live.inForce.daemon.claude_integration;
  assert.deepEqual([approvals.rules, approvals.timeout_seconds], [rules, 3600]);
  assert.notEqual(live.inForce.daemon.logging.backup_count, 77);
  const { daemon: sources } = live.inForce.sources;
  assert.equal(sources["/claude_integration/approvals/rules"]?.kind, "file");
  assert.equal(sources["/logging/backup_count"]?.kind, "default");
  const waits = (): string[] => live.waiting.map(({ pointer }) => pointer);
  assert.ok(waits().includes("/logging/backup_count"), String(waits()));
  live.take(next);
  assert.ok(waits().includes("/logging/backup_count"), String(waits()));
  live.take({ ...start, home: "/home" });
  assert.ok(!waits().includes("/logging/backup_count"), String(waits()));
});

test("options say what is in force whenever they are read; who copies them has the old value", () => {
  const live = new LiveConfig(configWith({}));
  const options = live.options({ fixed: 1 }, (config) => ({
    timeout: timeoutOf(config),
    idle: config.daemon.process_management.idle_timeout,
  }));
  const copied = { ...options };
  live.take(
    configWith({ claude_integration: { approvals: { timeout_seconds: 5 } }, process_management: { idle_timeout: 9 } }),
  );
  assert.deepEqual({ ...options }, { fixed: 1, timeout: 5, idle: 9 });
  assert.deepEqual(copied, { fixed: 1, timeout: 3600, idle: undefined });
});

test("a follower is told at the start and of each change of its part, not of others", () => {
  const live = new LiveConfig(configWith({}));
  const told: string[] = [];
  live.follow(
    ({ daemon }) => daemon.logging.level,
    (now) => told.push(now),
  );
  live.take(level("DEBUG"));
  live.take(level("DEBUG"));
  live.take(configWith({ logging: { level: "DEBUG" }, process_management: { idle_timeout: 9 } }));
  live.take(level("WARN"));
  assert.deepEqual(told, ["INFO", "DEBUG", "WARN"]);
});

test("where one cannot take his part nothing has changed, and the others have theirs back", () => {
  const live = new LiveConfig(level("INFO"));
  const told: string[] = [];
  live.follow(
    ({ daemon }) => daemon.logging.level,
    (now) => told.push(now),
  );
  live.follow(
    ({ daemon }) => daemon.logging.level,
    (now) => {
      if (now === "ERROR") throw new Error("not that");
    },
  );
  assert.throws(() => live.take(level("ERROR")), /not that/);
  assert.equal(live.inForce.daemon.logging.level, "INFO");
  assert.deepEqual(live.waiting, []);
  live.take(level("WARN"));
  assert.deepEqual(told, ["INFO", "ERROR", "INFO", "WARN"]);
});
