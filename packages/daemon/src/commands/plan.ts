import { existsSync, mkdirSync, rmdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParamsOf } from "@hl/protocol/method.ts";
import type { commandExecute } from "@hl/protocol/methods/command-execute.ts";
import type { Confinement, NetworkKind, Preparation, SandboxRules, StartRequest } from "../runner/records.ts";
import { sandboxRules, systemRules, type SandboxPolicy, type SystemRules } from "../sandbox/rules.ts";
import { foldersAbove } from "@hl/core/places.ts";
import { placesNow, type PlacesNow } from "../sandbox/system-paths.ts";
import { defaultPath, environmentOf } from "./environment.ts";
import { judgeCommand, type CommandPolicy } from "./policy.ts";
import { judgeDirectory } from "./workspace.ts";

export type ExecuteParams = ParamsOf<typeof commandExecute>;

export interface NetworkSettings {
  readonly kind: NetworkKind;
  /** Where the daemon's proxy listens; for `proxy` only. */
  readonly proxySocket?: string | undefined;
  /** Why it cannot be had here (X2). */
  readonly problem?: string | undefined;
}

/** Everything the configuration says about how a command is run. */
export interface PlanSettings {
  readonly policy: CommandPolicy;
  readonly paths: SandboxPolicy;
  /** The first of the allowed paths; relative paths start here. */
  readonly workspace: string;
  /** `security.sandbox_mode`. */
  readonly sandboxed: boolean;
  /** Why the sandbox cannot be enforced here; then sandboxed commands are refused (X2). */
  readonly sandboxProblem: string | undefined;
  /** Of commands, and of agents with all that they start. */
  readonly network: NetworkSettings;
  readonly agentNetwork: NetworkSettings;
  /** None, where that can be had. */
  readonly noNetwork: NetworkSettings;
  /** `security.sandbox.allow_namespaces`. */
  readonly allowNamespaces: boolean;
  readonly readOnlyPaths: readonly string[];
  /** Folder of the private TMPDIRs. */
  readonly temporaryRoot: string;
  readonly user: string;
  /** Users whose runner is installed. */
  readonly users: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
  readonly timeoutMsMax: number;
  readonly idleTimeoutMs: number | undefined;
  readonly stopGraceMs: number;
  readonly openFilesMax: number;
  readonly logBytesMax: number;
  /** Of a command's whole tree. */
  readonly memoryBytesMax: number;
  /** 100 is one processor. */
  readonly cpuPercentMax: number;
  readonly processesMax: number;
}

/** A judged request: what is asked for is allowed, and only its run's name is missing. */
export interface LaunchPlan {
  /** The entry of the allow list that lets it run. */
  readonly rule: string;
  /** @param given what its shim has been prepared with; undefined is answered when that is no longer right. Asked for right behind the plan, whose look-ups it shares. */
  request(runId: string, given: Preparation | undefined): StartRequest | undefined;
  request(runId: string): StartRequest;
}

/** Turns a judged request into what the shim is asked for; throws the refusal. Nothing is started here. */
export class Planner {
  readonly #settings: PlanSettings;
  #prepared: Preparation | undefined;

  constructor(settings: PlanSettings) {
    this.#settings = settings;
  }

  /** Whose processes commands are where they ask for nobody else. */
  get user(): string {
    return this.#settings.user;
  }

  plan(params: ExecuteParams): LaunchPlan {
    const settings = this.#settings;
    this.#checkUser(params.user);
    const now = placesNow();
    const cwd = judgeDirectory(settings.paths, settings.workspace, params.cwd, now.places);
    const searchPath = params.env?.["PATH"] ?? settings.environment["PATH"] ?? defaultPath;
    const { executable, rule } = judgeCommand(settings.policy, {
      command: params.command,
      args: params.args,
      cwd,
      searchPath,
    });
    const timeoutMs = this.#timeoutMs(params.timeout);
    const idleTimeoutMs = params.idle_timeout === undefined ? settings.idleTimeoutMs : wholeMs(params.idle_timeout);
    this.#checkSandbox(settings.network);
    const request = (runId: string, given?: Preparation): StartRequest | undefined => {
      const temporary = this.#temporaryOf(runId);
      const env = this.#environment(temporary, params.env, params.pty !== undefined, settings.network);
      const home = env["HOME"];
      const sandbox = this.#rules(temporary, home, [], given?.sandbox, now);
      if (given !== undefined && settings.sandboxed && sandbox === undefined) {
        if (given === this.#prepared) this.#prepared = undefined;
        return undefined;
      }
      return {
        id: runId,
        argv: [executable, ...params.args],
        argv0: params.command,
        env,
        cwd,
        stdin: params.pty ?? (params.stdin ? "pipe" : "null"),
        timeoutMs,
        idleTimeoutMs,
        graceMs: settings.stopGraceMs,
        openFilesMax: settings.openFilesMax,
        logBytesMax: settings.logBytesMax,
        memoryBytesMax: settings.memoryBytesMax,
        cpuPercentMax: settings.cpuPercentMax,
        processesMax: settings.processesMax,
        directories: this.#directories(home),
        temporary,
        ...this.#confinement(sandbox, settings.network),
      };
    };
    return { rule, request: request as LaunchPlan["request"] };
  }

  /** What a shim may make and open before it is known which command it gets. Looked up anew once a start has found that it is no longer right. */
  preparation(): Preparation {
    const { sandboxed, sandboxProblem, paths } = this.#settings;
    this.#prepared ??= {
      directories: this.#directories(this.#ownHome),
      sandbox: sandboxed && sandboxProblem === undefined ? systemRules(paths) : undefined,
    };
    return this.#prepared;
  }

  makeFolders(temporary: string, home: string | undefined): void {
    // Only the home that we chose; one that the caller names is the caller's to make.
    if (home === this.#ownHome && !existsSync(home)) mkdirSync(home, { recursive: true, mode: 0o700 });
    mkdirSync(temporary, { recursive: true, mode: 0o700 });
  }

  removeFolder(temporary: string): void {
    try {
      rmdirSync(temporary); // Empty nearly always.
    } catch {
      // What a build has left may be much: the event loop must not stop for it. What cannot be removed is only garbage.
      rm(temporary, { recursive: true, force: true }).catch(() => {});
    }
  }

  /** After the tree of a run has gone, whichever daemon started it. */
  cleanUp(runId: string): void {
    this.removeFolder(this.#temporaryOf(runId));
  }

  /** Where a process of ours may work: inside the allowed paths, relative to the workspace. */
  directory(wanted: string | undefined): string {
    return judgeDirectory(this.#settings.paths, this.#settings.workspace, wanted);
  }

  get temporaryRoot(): string {
    return this.#settings.temporaryRoot;
  }

  get #ownHome(): string {
    return join(this.#settings.temporaryRoot, "home");
  }

  /** Of an agent. */
  environment(temporary: string, own: Readonly<Record<string, string>>): Record<string, string> {
    return this.#environment(temporary, own, false, this.#settings.agentNetwork);
  }

  /** Of an agent. Nothing holds it in where sandbox_mode is off; throws where it is on and cannot be enforced (X2). */
  confinement(temporary: string, home: string | undefined, extraRead: readonly string[] = []): Confinement {
    return this.#confinementIn(this.#settings.agentNetwork, temporary, home, extraRead);
  }

  /** Of hl-workspace, which has no use for a network. */
  offlineConfinement(temporary: string, extraRead: readonly string[]): Confinement {
    return this.#confinementIn(this.#settings.noNetwork, temporary, undefined, extraRead);
  }

  #confinementIn(
    network: NetworkSettings,
    temporary: string,
    home: string | undefined,
    extraRead: readonly string[],
  ): Confinement {
    this.#checkSandbox(network);
    return this.#confinement(this.#rules(temporary, home, extraRead), network);
  }

  #confinement(sandbox: SandboxRules | undefined, { kind, proxySocket }: NetworkSettings): Confinement {
    if (sandbox === undefined) return {};
    const { allowNamespaces } = this.#settings;
    return { sandbox, ...(kind === "host" ? {} : { network: kind, proxySocket }), allowNamespaces };
  }

  #environment(
    temporary: string,
    own: Readonly<Record<string, string>> | undefined,
    hasTerminal: boolean,
    { kind }: NetworkSettings,
  ): Record<string, string> {
    const { user, environment: configured, sandboxed } = this.#settings;
    const network = sandboxed ? kind : "host";
    return environmentOf({ user, home: this.#ownHome, temporary, configured, own, hasTerminal, network });
  }

  #rules(
    temporary: string,
    home: string | undefined,
    extraRead: readonly string[],
    given?: SystemRules,
    now?: PlacesNow,
  ): SandboxRules | undefined {
    const { sandboxed, paths, readOnlyPaths } = this.#settings;
    if (!sandboxed) return undefined;
    // A home that the caller names is no reason to open it; the one we made is.
    const homes = home === this.#ownHome ? [home] : [];
    const extras = { read: [...readOnlyPaths, ...extraRead], write: [temporary, ...homes] };
    return given === undefined ? sandboxRules(paths, extras) : sandboxRules(paths, extras, given, now);
  }

  #checkSandbox(network: NetworkSettings): void {
    const { sandboxed, sandboxProblem } = this.#settings;
    const reason = sandboxProblem ?? network.problem;
    if (!sandboxed || reason === undefined) return;
    throw new HlError("sandbox_unavailable", `sandbox_mode is on and cannot be enforced: ${reason}`, { reason });
  }

  #temporaryOf(runId: string): string {
    return join(this.#settings.temporaryRoot, runId);
  }

  /** Only the home that we chose; one that the caller names is the caller's to make. */
  #directories(home: string | undefined): string[] {
    const { temporaryRoot } = this.#settings;
    const folders = [...foldersAbove(temporaryRoot).reverse(), temporaryRoot];
    return home === this.#ownHome ? [...folders, home] : folders;
  }

  #timeoutMs(seconds: number | undefined): number {
    const { timeoutMs, timeoutMsMax } = this.#settings;
    if (seconds === undefined) return Math.min(timeoutMs, timeoutMsMax);
    if (seconds * 1000 > timeoutMsMax) {
      const text = `timeout: ${seconds} s is over max_execution_time (${timeoutMsMax / 1000} s)`;
      throw new HlError("invalid_params", text, { timeout: seconds, max_execution_time: timeoutMsMax / 1000 });
    }
    return wholeMs(seconds);
  }

  #checkUser(user: string | undefined): void {
    if (user === undefined || this.#settings.users.includes(user)) return;
    const text = `no runner is installed for the user ${JSON.stringify(user)}`;
    throw new HlError("user_not_permitted", text, { user, users: this.#settings.users });
  }
}

/** To the shim 0 means that there is no limit: the least that can be asked for is one millisecond. */
function wholeMs(seconds: number): number {
  return Math.max(1, Math.round(seconds * 1000));
}
