#!/usr/bin/env node
import { version } from "@hl/protocol/version.ts";
import { checkHealth } from "./check.ts";

/** hl-health-check: one question, one line, one exit code. */
process.stdout.on("error", () => {}); // The exit code is the answer; a reader that has gone does not change it.

process.exitCode = await checkHealth({
  args: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  version,
  print: (text) => process.stdout.write(text),
  printError: (text) => process.stderr.write(text),
  deadline: (ms) => AbortSignal.timeout(ms),
});
