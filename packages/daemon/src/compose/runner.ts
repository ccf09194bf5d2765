import { mkdirSync } from "node:fs";
import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import type { Logger } from "@hl/core/logger.ts";
import { ResidentKeeper, type ResidentKeeperOptions } from "../runner/resident-keeper.ts";
import { Runner } from "../runner/runner.ts";

export interface RunnerPorts {
  readonly config: Config;
  readonly clock: Clock;
  readonly random: () => number;
  readonly logger: Logger;
  readonly runnerBinary: string;
  readonly user: string;
  readonly onResidentLost: (error: Error) => void;
  /** Of self-healing: resolves when the resident may be started again. */
  readonly turnToRestart?: ResidentKeeperOptions["turnToRestart"];
  /** The resident is back. */
  readonly onResidentBack?: (() => void) | undefined;
}

/** Why nothing can be started, and since when by the monotonic clock. */
export interface RunnerTrouble {
  readonly reason: string;
  readonly sinceMs: number;
}

export interface ComposedRunner extends AsyncDisposable {
  readonly runner: Runner;
  /** The resident is our child and ends with us; commands are then ended too. With an installed one they go on (P3). */
  readonly ownsResident: boolean;
  trouble(): RunnerTrouble | undefined;
  /** Looks whether an installed one answers; our own says so itself. */
  look(): Promise<void>;
}

/** The client of hl-runner, and in development the resident itself. */
export async function composeRunner(ports: RunnerPorts): Promise<ComposedRunner> {
  const { config, clock, random, logger, runnerBinary: binary, user, onResidentLost, turnToRestart } = ports;
  await using building = new AsyncDisposableStack();
  const ownsResident = config.daemon.process_management.runner_directory === undefined;
  const { socketPath, stateDirectory } = runnerPathsOf(config, user);
  const runner = new Runner({ socketPath, stateDirectory, warmShims: 2, warmShimsMax: 32, clock, random });
  let trouble: RunnerTrouble | undefined;
  const lost = (reason: string): void => {
    trouble = { reason, sinceMs: trouble?.sinceMs ?? clock.now() };
  };
  if (ownsResident) {
    mkdirSync(stateDirectory, { recursive: true, mode: 0o750 });
    const onBack = (pid: number): void => {
      logger.warn({ pid }, "hl-runner was started again");
      runner.fill();
      trouble = undefined;
      ports.onResidentBack?.();
    };
    const onLost = (reason: string): void => {
      lost(reason);
      onResidentLost(new Error(reason));
    };
    building.use(
      await ResidentKeeper.start({ binary, socketPath, stateDirectory, clock, random, onLost, onBack, turnToRestart }),
    );
  }
  building.use(runner);
  const owned = building.move();
  const look = async (): Promise<void> => {
    if (ownsResident) return;
    const problem = await runner.unreachable();
    if (problem === undefined) trouble = undefined;
    else lost(problem);
  };
  return { runner, ownsResident, trouble: () => trouble, look, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

export interface RunnerPaths {
  readonly socketPath: string;
  readonly stateDirectory: string;
  /** Of the allow-list proxy: beside the runner's own, where the runner's user can reach it. */
  readonly proxySocketPath: string;
}

/** Under systemd each user has an installed runner; in development the daemon's own lies below its home. */
export function runnerPathsOf(config: Config, user: string): RunnerPaths {
  const { runner_directory: sockets, runner_state_directory: states, default_user } = config.daemon.process_management;
  const name = default_user ?? user;
  if (sockets === undefined) {
    const state = join(config.home, "data/state");
    return {
      socketPath: join(state, "runner.sock"),
      stateDirectory: join(config.home, "data/runner"),
      proxySocketPath: join(state, "egress.sock"),
    };
  }
  return {
    socketPath: join(sockets, `${name}.sock`),
    stateDirectory: join(states, name),
    proxySocketPath: join(sockets, `${name}.egress.sock`),
  };
}
