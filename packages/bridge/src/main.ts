import { constants } from "node:os";
import { join } from "node:path";
import { systemClock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { LineTransport } from "@hl/core/rpc/line-transport.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import { settledWithin } from "@hl/core/service.ts";
import type { ExitInfo } from "@hl/daemon/claude/agent.ts";
import { streamJsonArguments } from "@hl/daemon/claude/stream-json-arguments.ts";
import { version } from "@hl/protocol/version.ts";
import { help, parseArguments, type Arguments } from "./arguments.ts";
import { Bridge } from "./bridge.ts";
import { findCli, startCli, type CliProcess } from "./cli-process.ts";

const usage = 64;
const unavailable = 69;
/** As the daemon's default for one message of an agent. */
const lineBytesMax = 64 * 1024 * 1024;
const killGraceMs = 5_000;

/** What starts us, whether as sources or bundled: installed as "claude" it is not what we look for. */
const own = join(import.meta.dirname, "../../../bin/claude-code");

const parsed = parseArguments(process.argv.slice(2));
if (parsed.kind === "stdio") await serve(parsed);
else if (parsed.kind === "usage") leave(usage, `claude-code: ${parsed.problem}\n\n${help}`);
else process.stdout.write(parsed.kind === "help" ? help : `claude-code ${version} (JSON-RPC bridge of hl-daemon)\n`);

async function serve({ executable, cliArguments, sessionId }: Extract<Arguments, { kind: "stdio" }>): Promise<void> {
  const path = findCli(executable, process.env, own);
  if (path === undefined) {
    leave(unavailable, 'claude-code: no "claude" in PATH; install Claude Code or name it in CLAUDE_CODE_EXECUTABLE\n');
    return;
  }
  const transport = new LineTransport({
    lineBytesMax,
    write: (bytes) =>
      new Promise((resolve, reject) => {
        process.stdout.write(bytes, (error) => (error instanceof Error ? reject(error) : resolve(undefined)));
      }),
    flow: (paused) => {
      if (paused) process.stdin.pause();
      else process.stdin.resume();
    },
    close: () => process.stdin.destroy(),
  });
  const bridge: Bridge = new Bridge({
    clock: systemClock,
    lineBytesMax,
    sessionId,
    write: (line) => cli.write(line),
    client: () => peer,
  });
  const environment = { ...process.env, CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1" };
  const cli: CliProcess = startCli(path, [...streamJsonArguments, ...cliArguments], environment, (chunk) =>
    bridge.receive(chunk),
  );
  const peer: Peer = new Peer({ transport, clock: systemClock, handler: bridge }).open();
  const end = (): void => void endInOrder(bridge, cli);
  process.stdin.on("data", (chunk: Buffer) => transport.receive(chunk));
  process.stdin.on("end", end);
  process.stdout.on("error", end); // Nobody reads us any more.
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => void passOn(signal, cli));
  bridge.start();
  try {
    const exit = await cli.ended;
    await bridge.closed(exit);
    // Asked to end, it ends with 1 where its last turn was cut: that is in order too.
    process.exitCode = bridge.ending && exit.signal === null ? 0 : exitCodeOf(exit);
    if (process.exitCode !== 0) process.stderr.write(`claude-code: ${path} ended with ${exit.signal ?? exit.code}\n`);
  } catch (error) {
    leave(unavailable, `claude-code: ${path} cannot be started: ${errorText(error)}\n`);
  }
  // The last answers are on their way to standard output within this turn of the loop.
  await new Promise((resolve) => setImmediate(resolve));
  await new Promise((resolve) => void process.stdout.write("", resolve));
  process.stdin.destroy();
}

async function endInOrder(bridge: Bridge, cli: CliProcess): Promise<void> {
  await bridge.end().catch(() => {});
  await settledWithin(systemClock, killGraceMs, cli.ended);
  await passOn("SIGTERM", cli);
}

async function passOn(signal: NodeJS.Signals, cli: CliProcess): Promise<void> {
  cli.kill(signal);
  await settledWithin(systemClock, killGraceMs, cli.ended);
  cli.kill("SIGKILL");
}

/** As a shell counts. */
function exitCodeOf({ code, signal }: ExitInfo): number {
  return signal === null ? (code ?? 1) : 128 + constants.signals[signal as NodeJS.Signals];
}

function leave(code: number, text: string): void {
  process.stderr.write(text);
  process.exitCode = code;
}
