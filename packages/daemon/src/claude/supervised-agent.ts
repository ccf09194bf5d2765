// Long: one state machine, whose transitions are best read together.
/**
 * An agent over all its processes: one after the other, under one `process_id` and, as far as it can be, with one session (A2).
 *
 * States: `idle` (before the first process), `living`, `leaving` (its process has ended, not all that it started), `waiting` (for the time of
 * the restart), `starting` (the next process, until it is ready or has ended), `over`.
 * Invariants: never two processes at once, since the next begins when nothing of the last is left; what was in flight is never sent again;
 * every end is recorded before another process begins, so that the next daemon goes on in the same state.
 */
import { errorText } from "@hl/core/logger.ts";
import type { Run } from "../runner/run.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentRecord } from "../store/agent-records.ts";
import type { AgentFacts } from "./agent-facts.ts";
import type { AgentLauncher } from "./agent-launcher.ts";
import { AgentProcess, type AgentProcessOptions, type AgentWork } from "./agent-process.ts";
import { logOfTurn } from "./agent-runs.ts";
import { canResume, nextSession, sessionUnknown } from "./agent-session.ts";
import { AgentWatch, type WatchSettings } from "./agent-watch.ts";
import { endedError, endedRelay } from "./ended-relay.ts";
import type { Launch } from "./launch-record.ts";
import type { AskedSession, ProcessEnd } from "./process-bounds.ts";
import type { RelayRequest } from "./relays.ts";
import { nextRestart, restartDelayMsMax, type NextRestart, type RestartSettings } from "./restart-policy.ts";
import { withheldText, type OnSupervision, type RestartPlan } from "./supervision-event.ts";

export interface SupervisionOptions extends Omit<
  AgentProcessOptions,
  "facts" | "run" | "logPosition" | "areSecretsKnown" | "asked" | "earlierLog" | "onReady" | "onEnded"
> {
  readonly runner: Runner;
  readonly launcher: AgentLauncher;
  readonly startTimeoutMs: number;
  readonly restart: RestartSettings;
  /** Without it nothing is watched. */
  readonly watch?: WatchSettings | undefined;
  readonly onStart: (agent: AgentFacts) => void;
  readonly onEnd: (agent: AgentFacts) => void;
  readonly onSupervision: OnSupervision;
}

interface Exit extends Omit<ProcessEnd, "end"> {
  readonly end: Pick<ProcessEnd["end"], "reason" | "exitCode" | "signal" | "durationMs">;
}

type Phase = "idle" | "living" | "leaving" | "waiting" | "starting" | "over";

export class SupervisedAgent {
  readonly facts: AgentFacts;
  readonly #options: SupervisionOptions;
  /** Undefined for one that cannot be started again. */
  #launch: Launch | undefined;
  /** Its process was started by an earlier daemon with secrets that this one does not know (X4). */
  #areSecretsKnown = true;
  readonly #watch: AgentWatch;
  readonly #ended = Promise.withResolvers<boolean>();
  #phase: Phase = "idle";
  /** The process that lives, or the last one that did. */
  #process: AgentProcess | undefined;
  #next: NextRestart | undefined;
  #cancelRestart: (() => void) | undefined;
  #resumed = false;
  /** The last process could not go on with this session. */
  #lostSession: string | undefined;
  #stopAsked = false;
  #killed = false;
  #detached = false;

  constructor(facts: AgentFacts, launch: Launch | undefined, options: SupervisionOptions) {
    this.facts = facts;
    this.#launch = launch;
    this.#options = options;
    this.#watch = new AgentWatch({ ...options, facts });
  }

  /** Resolves when no process of it runs and none will; true when that was asked for. */
  get ended(): Promise<boolean> {
    return this.#ended.promise;
  }

  /** The first process: waits until it is ready; ends it and rejects where it does not become so. */
  async begin(run: Run): Promise<void> {
    const resume = this.#launch?.params.resume !== undefined;
    await this.#enter(run, { resume, mode: this.#mode }, 0).begin(this.#options.startTimeoutMs);
  }

  /** After a restart of the daemon: the process that its record names, which may have ended meanwhile (P3). */
  async attach(run: Run, { logPosition, readyMs, life }: AgentRecord): Promise<void> {
    const { launcher } = this.#options;
    // Of one that has ended nobody knows the values any more, only whether there were any.
    let areSecretsKnown = this.#launch?.secretsLeftOut.length === 0;
    if (run.end === undefined)
      ({ launch: this.#launch, areSecretsKnown } = launcher.takeUp(this.facts.processId, this.#launch, run.pid));
    if (!areSecretsKnown) {
      const text =
        "not all secrets of an agent of before are known: what its process says is withheld from its transcript";
      this.#options.logger.warn({ process_id: this.facts.processId }, text);
    }
    const resume = life > 0 && readyMs === undefined && canResume(this.facts, this.#launch, this.#options.records);
    const process = this.#enter(run, { resume, orNew: true, mode: this.#mode }, logPosition, areSecretsKnown);
    try {
      await process.attach(this.#options.startTimeoutMs);
      if (this.facts.ready && this.#phase === "living") this.#watch.begin(process);
    } catch (error) {
      const facts = { process_id: this.facts.processId, error: errorText(error) };
      this.#options.logger.error(facts, "an agent of before cannot be attached to");
      await process.stop({ force: true, timeoutMs: 0 });
    }
  }

  /** After a restart of the daemon: its process has ended, which is recorded. @param left what it may have left running */
  async awaitRestart({ restartAtMs, attempts }: AgentRecord, left: Run | undefined): Promise<void> {
    const { clock } = this.#options;
    this.#phase = "leaving";
    if (left !== undefined) {
      left.stop("cancelled", 0);
      await left.empty;
      left.release();
    }
    const leftMs = Math.max(0, (restartAtMs ?? 0) - clock.wallMs());
    const delayMs = Math.min(leftMs, Math.max(this.#options.restart.delayMs, restartDelayMsMax));
    this.#next = { attempts, delayMs };
    this.#wait();
  }

  /** After a restart of the daemon: nothing is left of its process, not even how it ended. */
  lost(): void {
    this.#options.logger.warn({ process_id: this.facts.processId }, "nothing is known of the end of this agent");
    void this.#onEnded({
      end: { reason: "unknown", exitCode: undefined, signal: undefined, durationMs: 0 },
      ...{ endedMs: this.#options.clock.wallMs(), exitCode: -1, stderrTail: "", cut: "unknown", failedBy: undefined },
    });
    this.#left();
  }

  /** Its end is recorded. */
  over(): void {
    this.#settle(true);
  }

  /** What it is doing at present. */
  get work(): AgentWork {
    return this.#process?.work ?? { relayId: undefined, waiting: 0 };
  }

  /** Rejects with the errors of claude/relay. */
  relay(request: RelayRequest): Promise<unknown> {
    if (this.#process !== undefined && this.facts.state !== "restarting") return this.#process.relay(request);
    return endedRelay({ ...this.#options, facts: this.facts }, request);
  }

  /** Answers whether a turn was in flight. */
  async interrupt(): Promise<boolean> {
    if (this.#process === undefined || this.facts.state === "restarting") throw endedError(this.facts);
    return this.#process.interrupt();
  }

  /** Ends it for good, also while it waits to be started again. Answers whether it had to be killed. */
  async stop(options: Readonly<{ force: boolean; timeoutMs: number }>): Promise<boolean> {
    this.#stopAsked = true;
    if (this.#phase === "waiting") this.#giveUp();
    const runs = this.#phase === "living" || this.#phase === "starting";
    if (runs && (await this.#process?.stop(options)) === true) this.#killed = true;
    await this.#ended.promise;
    return this.#killed;
  }

  /** The daemon goes and the agent stays, or waits on: the next daemon takes it up. */
  detach(): void {
    this.#detached = true;
    this.#cancelRestart?.();
    this.#watch.end();
    if (this.#phase === "living" || this.#phase === "starting") this.#process?.detach();
  }

  get #mode(): string | undefined {
    return this.#launch?.params.config_overrides?.permission_mode;
  }

  #enter(run: Run, asked: AskedSession, logPosition: number, areSecretsKnown = true): AgentProcess {
    const { facts } = this;
    const { runner } = this.#options;
    const sessionBefore = facts.sessionId;
    const process = new AgentProcess({
      ...this.#options,
      ...{ facts, run, asked, logPosition, areSecretsKnown },
      earlierLog: (turn) => logOfTurn(runner, turn),
      onReady: () => this.#onReady(process, asked.resume, sessionBefore),
      onEnded: (end) => this.#onEnded(end),
    });
    this.#process = process;
    this.#areSecretsKnown = areSecretsKnown;
    this.#resumed = asked.resume;
    this.#phase = facts.state === "restarting" ? "starting" : "living";
    void process.ended.then(() => this.#left());
    return process;
  }

  #onReady(process: AgentProcess, resume: boolean, sessionBefore: string): void {
    const { onStart, onSupervision, logger } = this.#options;
    const { facts } = this;
    this.#phase = "living";
    this.#watch.begin(process);
    onStart(facts);
    const isNew = resume && facts.sessionId !== sessionBefore;
    const lost = isNew ? sessionBefore : this.#lostSession;
    this.#lostSession = undefined;
    if (lost !== undefined) {
      const about = { process_id: facts.processId, session_id: facts.sessionId, previous_session_id: lost };
      logger.warn(about, "the agent could not go on with its session and has begun a new one");
    }
    onSupervision(facts, { type: "agent.ready", resumed: resume && !isNew, previous_session_id: lost });
  }

  /** In one turn of the loop, which makes record and events one transaction. */
  #onEnded(exit: Exit): Promise<boolean> {
    const { facts } = this;
    const { onEnd, onSupervision } = this.#options;
    const { end, endedMs, exitCode, stderrTail, cut } = exit;
    this.#phase = "leaving";
    this.#watch.end();
    this.#next = this.#stopAsked ? undefined : this.#nextAfter(exit);
    const recorded = this.#record(endedMs, exitCode, cut);
    const reason = exit.failedBy === "stuck" ? "stuck" : end.reason;
    onSupervision(facts, {
      ...{ type: "agent.exited", code: end.exitCode ?? null, signal: end.signal ?? null, reason },
      ...{ expected: this.#stopAsked, stderr_tail: this.#areSecretsKnown ? stderrTail : withheldText },
      ...planOf(this.#next),
    });
    onEnd(facts);
    return recorded;
  }

  #record(endedMs: number, exitCode: number, cut: ProcessEnd["cut"]): Promise<boolean> {
    if (this.#next === undefined) return this.facts.recordEnd(endedMs, exitCode, cut);
    const { attempts, delayMs } = this.#next;
    const restartAtMs = this.#options.clock.wallMs() + delayMs;
    return this.facts.recordRestartDue({ restartAtMs, attempts, exitCode, cut });
  }

  /** One that was never ready has told its caller why; nobody waits for it. */
  #nextAfter({ end, stderrTail }: Exit): NextRestart | undefined {
    const { facts } = this;
    if (facts.restarts === 0 && !facts.ready) return undefined;
    if (this.#launch === undefined || this.#launch.secretsLeftOut.length > 0) {
      const secrets = this.#launch?.secretsLeftOut;
      const about = { process_id: facts.processId, variables: secrets };
      this.#options.logger.warn(
        about,
        "the agent is not started again: not all that it was started with is known any more",
      );
      return undefined;
    }
    const next = nextRestart(this.#options.restart, facts.attempts, facts.ready ? end.durationMs : undefined);
    if (!this.#resumed || facts.ready || !sessionUnknown.test(stderrTail)) return next;
    this.#lostSession = facts.sessionId;
    return next && { ...next, delayMs: 0 };
  }

  /** Nothing of its last process runs any more. */
  #left(): void {
    if (this.#phase !== "leaving") return;
    const { facts } = this;
    // Whoever has asked for one that never became ready was told why.
    if (this.#next === undefined) this.#settle(this.#stopAsked || (facts.restarts === 0 && !facts.ready));
    else this.#wait();
  }

  #wait(): void {
    if (this.#detached) return;
    this.#phase = "waiting";
    if (this.#stopAsked) this.#giveUp();
    else this.#cancelRestart = this.#options.clock.after(this.#next?.delayMs ?? 0, () => void this.#restart());
  }

  async #restart(): Promise<void> {
    const { launcher, startTimeoutMs, logger } = this.#options;
    const { facts } = this;
    const launch = this.#launch;
    if (launch === undefined) return;
    this.#phase = "starting";
    this.#process = undefined;
    const session = nextSession(facts, launch, this.#options.records, this.#lostSession !== undefined);
    let run: Run;
    try {
      run = await launcher.again(facts, launch, session);
    } catch (error) {
      this.#notStarted(error);
      return;
    }
    const process = this.#enter(run, { resume: session.resume, orNew: true, mode: this.#mode }, 0);
    if (this.#detached) process.detach();
    else if (this.#stopAsked) await process.stop({ force: true, timeoutMs: 0 });
    else {
      await process.begin(startTimeoutMs).catch((error: unknown) => {
        // Its end has been told, and what follows is decided.
        logger.warn({ process_id: facts.processId, error: errorText(error) }, "the agent was not ready again");
      });
    }
  }

  #notStarted(error: unknown): void {
    if (this.#detached) return;
    const { facts } = this;
    const { restart, logger, onSupervision, clock } = this.#options;
    const text = errorText(error);
    logger.warn({ process_id: facts.processId, error: text }, "the agent could not be started again");
    this.#next = this.#stopAsked ? undefined : nextRestart(restart, facts.attempts, undefined);
    void this.#record(clock.wallMs(), facts.exitCode ?? -1, "cut");
    onSupervision(facts, { type: "agent.restart_failed", error: text, ...planOf(this.#next) });
    this.#phase = "leaving";
    this.#left();
  }

  #giveUp(): void {
    const { clock, onSupervision } = this.#options;
    this.#phase = "leaving";
    this.#cancelRestart?.();
    this.#next = undefined;
    // Who has asked for it hears of it when a crash of the daemon cannot bring the agent back.
    void this.#record(clock.wallMs(), this.facts.exitCode ?? -1, "cut").then(() => this.#settle(true));
    onSupervision(this.facts, { type: "agent.restart_cancelled" });
  }

  #settle(asked: boolean): void {
    this.#phase = "over";
    this.#ended.resolve(asked);
  }
}

function planOf(next: NextRestart | undefined): RestartPlan {
  if (next === undefined) return { will_restart: false };
  return { will_restart: true, restart_in_ms: next.delayMs, attempt: next.attempts };
}
