// Goal: an agent behind the bridge can be run wherever the operator has installed it, and nothing else is readable for it. Method: real files.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { bridgedFolders } from "./launch.ts";

test("the Claude Code that the configuration names to the bridge is readable with its package, and only where it is a file", () => {
  const folder = realpathSync(mkdtempSync(join(tmpdir(), "hl-launch-")));
  try {
    mkdirSync(join(folder, "claude-code/bin"), { recursive: true });
    const program = join(folder, "claude-code/bin/claude");
    writeFileSync(program, "");
    symlinkSync(program, join(folder, "linked"));
    const of = (path: string): string[] => bridgedFolders({ CLAUDE_CODE_EXECUTABLE: path });
    assert.deepEqual(of(program), [join(folder, "claude-code")]);
    assert.deepEqual(
      of(join(folder, "linked")),
      [join(folder, "claude-code")],
      "where it really lies, not where the link does",
    );
    for (const none of [join(folder, "absent"), join(folder, "claude-code"), "claude", ""])
      assert.deepEqual(of(none), []);
    assert.deepEqual(bridgedFolders({}), []);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
