/**
 * Goal: `auto` finds the protocol of a program by what every program may be asked, gives it no input, and refuses what it does not know.
 * Method: programs of a few lines under the real hl-runner, which write down how they were started.
 */
import assert from "node:assert/strict";
import { appendFileSync, chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { after, before, describe, test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { setUpAgents, type Fixture } from "./agents.fixture.test.ts";
import { ProtocolProbe, type ProbeRequest } from "./probe.ts";

describe("the probe of protocols", () => {
  let fixture: Fixture;
  let probe: ProtocolProbe;
  let probes = 0;

  before(async () => {
    fixture = await setUpAgents();
    probe = new ProtocolProbe(fixture.runner);
  });
  after(() => fixture[Symbol.asyncDispose]());

  /** A program that writes its arguments and its input to `asked` beside it, then does what `body` says. */
  const program = (name: string, body: string): string => {
    const path = join(fixture.root, "work", name);
    mkdirSync(dirname(path), { recursive: true });
    writeFileSync(path, `#!/bin/bash\necho "$@ <$(cat)>" >> "${path}.asked"\n${body}\n`);
    chmodSync(path, 0o755);
    return path;
  };
  const asked = (path: string): string[] =>
    existsSync(`${path}.asked`) ? readFileSync(`${path}.asked`, "utf8").trim().split("\n") : [];
  const request = (path: string, args: readonly string[] = [], timeoutMs = 10_000): ProbeRequest => ({
    ...{ configured: path, path, args },
    start: (more) => ({
      ...{ id: `agent_probe_${(probes += 1)}`, argv: [path, ...more], env: { PATH: "/usr/bin:/bin" }, cwd: "/" },
      ...{ stdin: "null", graceMs: 100, timeoutMs, openFilesMax: 64, logBytesMax: 1024 * 1024 },
    }),
  });

  test("what its name or its arguments say needs no question", async () => {
    const cases: [name: string, args: string[], protocol: string][] = [
      ["claude", [], "stream-json"],
      ["codex-acp", [], "acp"],
      ["node_modules/@agentclientprotocol/claude-agent-acp/dist/index.js", [], "acp"],
      ["gemini", ["--experimental-acp"], "acp"],
      ["opencode", ["acp"], "acp"],
    ];
    for (const [name, args, protocol] of cases) {
      const path = program(name, "exit 1");
      assert.equal(await probe.protocolOf(request(path, args)), protocol, name);
      assert.deepEqual(asked(path), []);
    }
  });

  test("then --version, then --help, never with input; asked once until the program changes", async () => {
    const version = program("one", 'echo "2.1.330 (Claude Code)"');
    const bridge = program("two", 'echo "claude-code 0.1.0 (JSON-RPC bridge of hl-daemon)"');
    const help = program("three", '[ "$1" = --help ] && echo "usage: three --stdio"; exit 0');
    const other = program("four", '[ "$1" = --help ] && echo "  --input-format <text|stream-json>"; exit 0');
    assert.equal(await probe.protocolOf(request(version)), "stream-json");
    assert.equal(await probe.protocolOf(request(bridge)), "jsonrpc");
    assert.equal(await probe.protocolOf(request(help)), "jsonrpc");
    assert.equal(await probe.protocolOf(request(other)), "stream-json");
    assert.deepEqual(asked(version), ["--version <>"]);
    assert.deepEqual(asked(help), ["--version <>", "--help <>"]);
    await probe.protocolOf(request(version));
    assert.equal(asked(version).length, 1);
    appendFileSync(version, "\n# a new release\n");
    await probe.protocolOf(request(version));
    assert.equal(asked(version).length, 2);
  });

  test("what is not known is refused with what it said, and leaves nothing behind", async () => {
    const silent = program("silent", "exit 0");
    const broken = program("broken", "echo 'no licence found' >&2; exit 3");
    const hanging = program("hanging", "sleep 600");
    const offers = program("offers", '[ "$1" = --help ] && echo "--acp  Starts the agent in ACP mode"; exit 0');
    const cases: [path: string, wanted: RegExp, timeoutMs: number][] = [
      [silent, /cannot be told.*exit code 0.*claude_integration\.protocol/, 10_000],
      [broken, /exit code 3/, 10_000],
      [hanging, /did not end in time/, 300],
      [offers, /cannot be told/, 10_000],
    ];
    for (const [path, wanted, timeoutMs] of cases) {
      const refused: unknown = await probe.protocolOf(request(path, [], timeoutMs)).catch((error: unknown) => error);
      assert.ok(refused instanceof HlError);
      assert.equal(refused.code, 1201);
      assert.match(refused.message, wanted);
      if (path === broken) assert.match(String(refused.facts["stderr_tail"]), /no licence found/);
    }
    assert.deepEqual(await fixture.runner.list(), []);
  });
});
