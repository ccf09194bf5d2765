/**
 * Goal: X1: an agent reads the folder of `config_path`, and nothing else that nobody has opened to it. Method: an agent program that reads a file there
 * and ends with what came of it.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { refused } from "./agent-world.ts";

test("X1: claude_integration.config_path is readable to agents, another folder is not", async () => {
  using folder = temporaryFolder("hl-agent-folders");
  const [programs, own, other] = ["programs", "own", "other"].map((name) => join(folder.path, name));
  for (const path of [programs!, own!, other!]) mkdirSync(path);
  const binary_path = join(programs!, "agent");
  for (const path of [own!, other!]) writeFileSync(join(path, "settings.json"), `what ${path} says\n`);
  writeFileSync(binary_path, '#!/bin/sh\ncat "$WANTED" >&2\nexit 3\n');
  chmodSync(binary_path, 0o755);
  const claude_integration = { binary_path, config_path: own!, protocol: "stream-json" };
  await using daemon = await TestDaemon.start({ config: { claude_integration } });
  using client = await daemon.connect();
  const wordsOver = async (wanted: string): Promise<string> => {
    const params = { workspace_path: daemon.workspace, environment: { WANTED: join(wanted, "settings.json") } };
    return String((await refused(client.call("claude/start", params), 1201)).data?.["stderr_tail"]);
  };
  assert.equal(await wordsOver(own!), `what ${own} says\n`);
  assert.match(await wordsOver(other!), /Permission denied/);
});
