#!/usr/bin/env node
import { systemClock } from "@hl/core/clock.ts";
import { spawn, spawnSync } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import type { EndingSignal, Ports } from "./ports.ts";
import { exitCode as exitCodes } from "./exit-codes.ts";
import { runClient } from "./program.ts";

/** hl-client: the only place that touches the real process. */
const endingSignals: readonly EndingSignal[] = ["SIGINT", "SIGTERM", "SIGHUP"];

/** Output that nobody takes keeps a program alive; who asked to leave twice is not kept waiting for it. */
const leaveMs = 250;

const ports: Ports = {
  args: process.argv.slice(2),
  env: process.env,
  cwd: process.cwd(),
  programFile: import.meta.filename,
  stdout: process.stdout,
  stderr: process.stderr,
  stdin: () => process.stdin,
  unprocessedOutput: () => {
    spawnSync("stty", ["-opost"], { stdio: ["inherit", "ignore", "ignore"] });
  },
  runEditor: async (command, file) => {
    // $EDITOR is a command line by custom ("code --wait"), so a shell reads it; the file is an argument and not a part of it.
    const child = spawn("sh", ["-c", `${command} "$1"`, "sh", file], { stdio: "inherit" });
    await once(child, "exit");
    return child.exitCode ?? exitCodes.failed;
  },
  clock: systemClock,
  random: Math.random,
  uuid: randomUUID,
  signals: (listener) => {
    for (const signal of endingSignals) process.on(signal, listener);
    return () => {
      for (const signal of endingSignals) process.off(signal, listener);
    };
  },
};

const { exitCode, leaving } = await runClient(ports);
process.exitCode = exitCode;
if (leaving !== undefined) {
  // The timer of AbortSignal.timeout keeps nothing alive: it acts only where something else does.
  AbortSignal.timeout(leaveMs).addEventListener("abort", () => process.kill(process.pid, leaving));
}
