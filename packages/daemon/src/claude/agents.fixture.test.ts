/**
 * What tests of agents and their recovery share: the real hl-runner, a real database, and agents whose every word the test decides. A
 * life of the daemon is one table of agents over them. It has no tests of its own.
 */
import { mkdirSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { systemClock } from "@hl/core/clock.ts";
import { silentLogger } from "@hl/core/logger.ts";
import { FakeAgents, type FakeAgent } from "@hl/testkit/fake-agent.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { findRunnerBinary } from "../host-facts.ts";
import { Resident } from "../runner/resident.ts";
import { Runner } from "../runner/runner.ts";
import { AgentRecords } from "../store/agent-records.ts";
import { Database } from "../store/database.ts";
import type { RelayResult } from "./agent.ts";
import { Agents, type AgentsOptions } from "./agents.ts";

export interface Life {
  readonly agents: Agents;
  /** What was told, as `start`, `end` or the name of an agent's event. */
  readonly told: string[];
  relay(
    processId: string,
    message: unknown,
    relayId: string,
    timeoutMs?: number,
    steer?: boolean,
  ): Promise<RelayResult>;
}

export interface Fixture extends AsyncDisposable {
  readonly root: string;
  readonly runner: Runner;
  readonly records: AgentRecords;
  readonly database: Database;
  readonly fakes: FakeAgents;
  life(options?: Partial<AgentsOptions>): Life;
  /** An agent that is ready. */
  start(life: Life): Promise<{ readonly fake: FakeAgent; readonly processId: string }>;
}

export async function setUpAgents(): Promise<Fixture> {
  await using stack = new AsyncDisposableStack();
  const root = realpathSync(stack.use(temporaryFolder("hl-agents")).path);
  for (const folder of ["state", "temporary", "work"]) mkdirSync(join(root, folder));
  const socketPath = join(root, "r.sock");
  stack.use(await Resident.start(findRunnerBinary(), socketPath, join(root, "state")));
  const runner = stack.use(new Runner({ socketPath, stateDirectory: join(root, "state"), warmShims: 1 }));
  await runner.open();
  const fakes = stack.use(await FakeAgents.start());
  const database = stack.use(new Database(join(root, "daemon.db")));
  const records = new AgentRecords(database);
  const { binary_path: binaryPath, environment } = fakes.config(root);
  const lives: Agents[] = [];
  stack.defer(async () => {
    for (const agents of lives) await agents.drain(false);
    for (const id of await runner.list()) {
      const run = await runner.find(id);
      run?.stop("shutdown", 0);
      await run?.empty;
      run?.release();
      run?.detach();
    }
  });
  const life = (options: Partial<AgentsOptions> = {}): Life => {
    const told: string[] = [];
    const agents = new Agents({
      runner,
      records,
      host: {
        temporaryRoot: join(root, "temporary"),
        directory: (wanted) => wanted,
        environment: (_temporary, own) => ({ PATH: "/usr/bin:/bin", ...own }),
        confinement: () => ({}),
        makeFolders: (temporary) => mkdirSync(temporary, { recursive: true }),
        removeFolder: () => {},
      },
      clock: systemClock,
      logger: silentLogger,
      enabled: true,
      binaryPath,
      configPath: root,
      protocol: "auto",
      args: [],
      environment,
      startTimeoutMs: 20_000,
      agentsMax: 10,
      turnsWaitingMax: 4,
      lineBytesMax: 1_000_000,
      openFilesMax: 256,
      logBytesMax: 16 * 1024 * 1024,
      onEvent: (agent, { type }) => {
        if (type === "agent.turn_completed") told.push(`turn-${agent.turns}`);
      },
      onStart: () => void told.push("start"),
      onEnd: ({ exitCode }) => void told.push(`end ${exitCode}`),
      ...options,
    });
    lives.push(agents);
    const relay: Life["relay"] = async (processId, message, relayId, timeoutMs = 30_000, steer = false) => {
      const { signal } = new AbortController();
      return (await agents
        .get(processId)
        .relay({ message, relayId, timeoutMs, steer, signal, onEvent: () => {} })) as RelayResult;
    };
    return { agents, told, relay };
  };
  const start: Fixture["start"] = async ({ agents }) => {
    const starting = agents.start({ workspace_path: join(root, "work") });
    const fake = await fakes.next();
    await fake.initialized(1);
    return { fake, processId: (await starting).facts.processId };
  };
  const owned = stack.move();
  return { root, runner, records, database, fakes, life, start, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}
