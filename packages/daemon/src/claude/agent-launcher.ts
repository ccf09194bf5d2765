import { randomUUID } from "node:crypto";
import type { Clock } from "@hl/core/clock.ts";
import type { Confinement, StartRequest } from "../runner/records.ts";
import type { Run } from "../runner/run.ts";
import type { Runner } from "../runner/runner.ts";
import type { SecretHolder } from "../runner/secret-holder.ts";
import type { AgentRecord, AgentRecords } from "../store/agent-records.ts";
import type { AgentInfo } from "./agent.ts";
import type { AgentFacts } from "./agent-facts.ts";
import { agentIdPrefix, earlierLivesKept, runIdOf } from "./agent-runs.ts";
import { bridgedFolders, findAgentBinary, protocolArguments, startFailure } from "./launch.ts";
import { launchOf, launchText, type Launch, type StartParams } from "./launch-record.ts";
import { probeMsMax, ProtocolProbe } from "./probe.ts";

/** What an agent shares with commands: paths, environment and sandbox. compose.ts passes the planner of commands. */
export interface AgentHost {
  readonly temporaryRoot: string;
  directory(wanted: string): string;
  environment(temporary: string, own: Readonly<Record<string, string>>): Record<string, string>;
  /** What holds it in; throws where that cannot be enforced (X2). */
  confinement(temporary: string, home: string | undefined, extraRead: readonly string[]): Confinement;
  makeFolders(temporary: string, home: string | undefined): void;
  removeFolder(temporary: string): void;
}

/** Keeps keys from agents and their tools: what they get in the place of one is good only while they live. compose.ts passes the key proxy. */
export interface KeyKeeper {
  /** The environment of an agent, of what is configured and what its caller asks for; throws where it cannot be kept from it. */
  cover(
    processId: string,
    configured: Readonly<Record<string, string>>,
    own: Readonly<Record<string, string>>,
  ): Promise<Readonly<Record<string, string>>>;
  /** The same for an agent that an earlier life of the daemon has started. */
  admitAgain(
    processId: string,
    configured: Readonly<Record<string, string>>,
    own: Readonly<Record<string, string>>,
  ): void;
  release(processId: string): void;
}

export interface LauncherOptions {
  readonly runner: Runner;
  readonly records: AgentRecords;
  readonly host: AgentHost;
  readonly clock: Clock;
  readonly binaryPath: string;
  readonly configPath: string;
  readonly protocol: "auto" | AgentInfo["protocol"];
  readonly args: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  /** Keeps what is secret in an agent's environment, its API key first, out of events, as long as it lives (X4). */
  readonly secrets?: SecretHolder | undefined;
  /** Without one the agent has its keys itself. */
  readonly keys?: KeyKeeper | undefined;
  readonly openFilesMax: number;
  readonly logBytesMax: number;
}

export interface Launched {
  readonly record: Pick<AgentRecord, "processId" | "sessionId" | "workspacePath" | "protocol" | "startedMs" | "usage">;
  readonly launch: Launch;
  readonly run: Run;
}

export interface TakenUp {
  readonly launch: Launch | undefined;
  readonly areSecretsKnown: boolean;
}

interface Prepared {
  readonly path: string;
  /** Arguments after those of the protocol. */
  readonly own: readonly string[];
  readonly common: Omit<StartRequest, "id" | "argv" | "stdin">;
}

const stopGraceMs = 5_000;

/** Starts the processes of agents: finds the program, and gives each its folders, environment and sandbox. */
export class AgentLauncher {
  readonly #options: LauncherOptions;
  readonly #probe: ProtocolProbe;

  constructor(options: LauncherOptions) {
    this.#options = options;
    this.#probe = new ProtocolProbe(options.runner);
  }

  /**
   * The first process of a new agent, behind its record.
   * @param usage what its count begins with
   */
  async first(params: StartParams, usage: AgentRecord["usage"]): Promise<Launched> {
    const { records, clock, secrets } = this.#options;
    const processId = `${agentIdPrefix}${randomUUID()}`;
    const sessionId = params.resume ?? randomUUID();
    const prepared = await this.#prepare(processId, params.workspace_path, params).catch((error: unknown) => {
      this.release(processId);
      throw error;
    });
    try {
      const protocol = await this.#protocolOf(prepared, params.protocol ?? this.#options.protocol);
      const args = protocolArguments(protocol, params, sessionId);
      const launch = launchOf(params, sessionId);
      const { cwd: workspacePath } = prepared.common;
      const record = { processId, sessionId, workspacePath, protocol, startedMs: clock.wallMs(), usage };
      const secretNames = secrets?.namesIn?.(params.environment ?? {}) ?? [];
      await records.begin({ ...record, launch: launchText(launch, secretNames) });
      const run = await this.#start(prepared, processId, args).catch(async (error: unknown) => {
        await records.forget(processId);
        throw error;
      });
      return { record, launch, run };
    } catch (error) {
      this.release(processId);
      throw startFailure(error, prepared.path);
    }
  }

  /** A further process of an agent whose last one has ended, in the same way, with its record changed first. */
  async again(facts: AgentFacts, launch: Launch, session: { id: string; resume: boolean }): Promise<Run> {
    const { processId, workspacePath } = facts;
    const { params } = launch;
    const prepared = await this.#prepare(processId, workspacePath, params);
    const resume = session.resume ? session.id : undefined;
    const args = protocolArguments(facts.protocol as AgentInfo["protocol"], { ...params, resume }, session.id);
    await facts.recordNextLife(session.id);
    this.#forgetLife(processId, facts.restarts - earlierLivesKept - 1);
    try {
      return await this.#start(prepared, runIdOf(processId, facts.restarts), args);
    } catch (error) {
      throw startFailure(error, prepared.path);
    }
  }

  /**
   * A process of before runs: keeps what is secret in its environment out of events, and takes from there what the record of its agent has
   * left out. Answers also whether they are all known.
   */
  takeUp(processId: string, launch: Launch | undefined, pid: number): TakenUp {
    const { secrets } = this.#options;
    const isHeld = secrets?.holdRunning(processId, pid) !== false;
    const found = this.#withSecrets(launch, pid);
    return { launch: found, areSecretsKnown: isHeld && (found?.secretsLeftOut ?? []).length === 0 };
  }

  #withSecrets(launch: Launch | undefined, pid: number): Launch | undefined {
    if (launch === undefined || launch.secretsLeftOut.length === 0) return launch;
    const { secrets } = this.#options;
    const running = secrets?.environmentOf?.(pid) ?? {};
    const found = Object.entries(running).filter(([name]) => launch.secretsLeftOut.includes(name));
    const environment = { ...launch.params.environment, ...Object.fromEntries(found) };
    const secretsLeftOut = launch.secretsLeftOut.filter((name) => environment[name] === undefined);
    return { ...launch, params: { ...launch.params, environment }, secretsLeftOut };
  }

  /** Of an earlier life of the daemon: what it asks for with its token is answered, whether it is attached to already or not. */
  admitAgain(processId: string, launch: Launch | undefined): void {
    const left = (launch?.secretsLeftOut ?? []).map((name) => [name, ""]);
    const own = { ...launch?.params.environment, ...(Object.fromEntries(left) as Record<string, string>) };
    this.#options.keys?.admitAgain(processId, this.#options.environment, own);
  }

  /** The agent has ended for good, or was never there. */
  release(processId: string): void {
    const { host, secrets, keys } = this.#options;
    keys?.release(processId);
    secrets?.release(processId);
    host.removeFolder(this.#temporaryOf(processId));
  }

  async #prepare(processId: string, workspacePath: string, params: Launch["params"]): Promise<Prepared> {
    const { host, configPath, binaryPath, secrets, keys, openFilesMax, logBytesMax } = this.#options;
    const { environment: configured } = this.#options;
    const own = params.environment ?? {};
    const cwd = host.directory(workspacePath);
    const temporary = this.#temporaryOf(processId);
    const env = host.environment(temporary, {
      CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
      CLAUDE_CODE_TMPDIR: temporary,
      DISABLE_AUTOUPDATER: "1",
      ...(keys === undefined ? { ...configured, ...own } : await keys.cover(processId, configured, own)),
      HL_PROCESS_ID: processId,
    });
    const { path, folders } = findAgentBinary(binaryPath, env["PATH"] ?? "");
    const readable = [...folders, ...bridgedFolders(configured), configPath];
    const confinement = host.confinement(temporary, env["HOME"], readable);
    host.makeFolders(temporary, env["HOME"]);
    secrets?.hold(processId, env);
    const common = { env, cwd, graceMs: stopGraceMs, openFilesMax, logBytesMax, ...confinement };
    return { path, own: [...this.#options.args, ...(params.args ?? [])], common };
  }

  #protocolOf(
    { path, own, common }: Prepared,
    asked: "auto" | AgentInfo["protocol"],
  ): AgentInfo["protocol"] | Promise<AgentInfo["protocol"]> {
    if (asked !== "auto") return asked;
    const start = (args: readonly string[]): StartRequest => ({
      ...common,
      ...{ id: `${agentIdPrefix}probe_${randomUUID()}`, argv: [path, ...args], stdin: "null", timeoutMs: probeMsMax },
    });
    return this.#probe.protocolOf({ configured: this.#options.binaryPath, path, args: own, start });
  }

  #start({ path, own, common }: Prepared, id: string, args: readonly string[]): Promise<Run> {
    return this.#options.runner.start({ ...common, id, argv: [path, ...args, ...own], stdin: "pipe" });
  }

  #forgetLife(processId: string, life: number): void {
    if (life < 0) return;
    // What cannot be removed goes with the agent's end, or is ended as a stranger by the next daemon.
    this.#options.runner.remove(runIdOf(processId, life)).catch(() => {});
  }

  #temporaryOf(processId: string): string {
    return `${this.#options.host.temporaryRoot}/${processId}`;
  }
}
