/**
 * The stub as a program: `node main.ts [--port N]` prints one JSON line when it listens and runs until SIGTERM or SIGINT.
 */
import { once } from "node:events";
import { parseArgs } from "node:util";
import { startModelApi } from "./model-api.ts";

const usage = "usage: node main.ts [--port N]\n";
const usageExitCode = 64;

async function main(): Promise<void> {
  const port = readPort();
  if (port === undefined) {
    process.stderr.write(usage);
    process.exitCode = usageExitCode;
    return;
  }
  await using api = await startModelApi({ port });
  process.stdout.write(`${JSON.stringify({ ready: true, url: api.url, pid: process.pid })}\n`);
  await Promise.race([once(process, "SIGTERM"), once(process, "SIGINT")]);
}

function readPort(): number | undefined {
  try {
    const port = Number(parseArgs({ options: { port: { type: "string", default: "0" } } }).values.port);
    return Number.isInteger(port) && port >= 0 && port <= 65_535 ? port : undefined;
  } catch {
    return undefined;
  }
}

await main();
