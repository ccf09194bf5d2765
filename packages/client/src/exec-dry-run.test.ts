import assert from "node:assert/strict";
import { test, type TestContext } from "node:test";
import type { CommandDecisionResult } from "@hl/protocol/methods/command-decision.ts";
import { FakeCommand } from "./testing/fake-command.ts";
import { FakeDaemon } from "./testing/fake-daemon.ts";
import { runClient } from "./testing/run-client.ts";
import { infoSample } from "./testing/samples.ts";

// Goal: exec --dry-run says what would be decided, in words, as JSON and as an exit code, and never runs anything.
// Method: the real program against the scripted daemon behind the real contract.

const allowed: Partial<CommandDecisionResult> = {
  decision: "allow",
  rule: "git",
  plan: {
    executable: "/usr/bin/git",
    cwd: "/w",
    sandbox: { mode: true, network: "proxy", read: ["/usr", "/etc/x\n"], write: ["/w"] },
    limits: { timeout: 60, memory_mb: 512, cpu_percent: 150, processes: 4096, open_files: 256, log_bytes: 1_048_576 },
  },
};

const denied: Partial<CommandDecisionResult> = {
  decision: "deny",
  rule: "sudo",
  error: { code: 1101, error_type: "command_blocked", message: '"sudo" is blocked by the rule "sudo"', help: "See." },
};

async function daemonThatSays(t: TestContext, answer: object, capabilities = ["dry_run"]): Promise<FakeDaemon> {
  const daemon = await FakeDaemon.start({
    "system/info": async () => ({ ...infoSample, capabilities }),
    "command/execute": async ({ command_id }) => ({ command_id, status: "dry_run", ...answer }) as never,
  });
  t.after(() => daemon[Symbol.asyncDispose]());
  return daemon;
}

test("an allowed command: 0, and what would run, where and within what", async (t) => {
  const daemon = await daemonThatSays(t, allowed);
  for (const where of [daemon.local, daemon.remote]) {
    const { code, stdout, stderr } = await runClient([
      ...where,
      "exec",
      "--dry-run",
      "--cwd",
      "w",
      "--",
      "git",
      "push",
    ]);
    assert.deepEqual([code, stderr], [0, ""]);
    const lines = [
      "allowed",
      "  rule        git",
      "  executable  /usr/bin/git",
      "  directory   /w",
      "  sandbox     on",
      "  network     proxy",
      "  writes      /w",
      "  reads       /usr /etc/x\\n",
      "  limits      60 s, 512 MB of memory, 150 % of a processor, 4096 processes, 256 open files, 1 MiB of output",
      "",
    ];
    assert.equal(stdout.toString(), lines.join("\n"));
  }
  const [sent] = daemon.asked.filter(({ method }) => method === "command/execute");
  const { command, args, cwd, dry_run, stream_output } = sent?.params as Record<string, unknown>;
  assert.deepEqual([command, args, cwd, dry_run, stream_output], ["git", ["push"], "w", true, false]);
});

test("a denied command: 126, and the reason with the help; --json prints the answer as it is", async (t) => {
  const daemon = await daemonThatSays(t, denied);
  const people = await runClient([...daemon.local, "exec", "--dry-run", "--", "sudo", "id"]);
  assert.deepEqual([people.code, people.stderr], [126, ""]);
  assert.match(
    people.stdout.toString(),
    /^denied\n {2}error +command_blocked \(1101\)\n {2}reason +"sudo" is blocked.*\n {2}help +See\.\n {2}rule +sudo\n$/,
  );
  const programs = await runClient([...daemon.local, "exec", "--dry-run", "--json", "--id", "c-1", "--", "sudo"]);
  assert.equal(programs.code, 126);
  assert.deepEqual(JSON.parse(programs.stdout.toString()), { command_id: "c-1", status: "dry_run", ...denied });
});

test("a daemon that does not know dry runs would run the command, so it is not asked", async (t) => {
  const daemon = await daemonThatSays(t, allowed, []);
  const result = await runClient([...daemon.local, "exec", "--dry-run", "--", "git"]);
  assert.equal(result.code, 125);
  assert.match(result.stderr, /cannot judge a command without running it/);
  assert.equal(daemon.countOf("command/execute"), 0);
});

test("--dry-run and --detach exclude each other; without --dry-run nothing is judged in place of running", async (t) => {
  const daemon = await FakeDaemon.start(new FakeCommand([]).handlers);
  t.after(() => daemon[Symbol.asyncDispose]());
  assert.equal((await runClient([...daemon.local, "exec", "--dry-run", "--detach", "x"])).code, 64);
  assert.equal(daemon.countOf("command/execute"), 0);
  await runClient([...daemon.local, "exec", "x"]);
  const [sent] = daemon.asked.filter(({ method }) => method === "command/execute");
  assert.equal((sent?.params as Record<string, unknown>)["dry_run"], undefined);
});
