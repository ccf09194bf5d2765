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

test("approvals are taken over, with their sources; the rest waits, each time it is asked", () => {
  const rules = [{ tool: "Bash", decision: "deny" }];
  const live = new LiveConfig(configWith({ claude_integration: { approvals: { timeout_seconds: 60 } } }));
  const next = configWith({ claude_integration: { approvals: { rules }, stdio_timeout: 77 } });
  const { applied, waiting } = live.take(next);
  const below = "/claude_integration/approvals";
  assert.deepEqual([...applied].sort(), [`${below}/rules`, `${below}/timeout_seconds`]);
  assert.ok(waiting.includes("/claude_integration/stdio_timeout"), String(waiting));
  assert.deepEqual([live.approvals.rules, live.approvals.timeout_seconds], [rules, 3600]);
  assert.notEqual(live.inForce.daemon.claude_integration.stdio_timeout, 77);
  assert.equal(live.inForce.sources.daemon[`${below}/rules`]?.kind, next.sources.daemon[`${below}/rules`]?.kind);
  const again = live.take(next);
  assert.deepEqual(again.applied, []);
  assert.deepEqual(again.waiting, waiting);
});
