import type { Config } from "@hl/config/load.ts";
import type { Clock } from "@hl/core/clock.ts";
import { errorText, type Logger } from "@hl/core/logger.ts";
import { healthChecks, type HealthCheck, type HealthCode } from "@hl/protocol/health-checks.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import type { SupervisionEvent } from "../claude/supervision-event.ts";
import type { Events } from "../events/events.ts";
import type { AlertChange, Condition } from "../health/alert-book.ts";
import { Healing, type HealingSettings, type HealingStep } from "../health/healing.ts";
import { trimLogs, type OwnLog } from "../health/log-files.ts";
import type { LiveConfig } from "./live-config.ts";
import type { RunnerPorts } from "./runner.ts";

export interface HealingPorts {
  readonly config: Config;
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly events: Pick<Events, "emit">;
}

/** What is kept of finished commands while the disk is short of room, of each limit of retention. */
const keptShare = 0.25;
/** Logs that are too large are cut back to this share of the threshold, so that they are not too large again at once. */
const logShare = 0.75;

const heal = ({ daemon }: Config): Config["daemon"]["health_monitoring"]["self_healing"] =>
  daemon.health_monitoring.self_healing;

function settingsOf(config: Config): HealingSettings {
  const {
    enabled,
    max_restart_attempts: attemptsMax,
    restart_delay: delay,
    restart_on_failure: restarts,
  } = heal(config);
  return { enabled, attemptsMax, delayMs: delay * 1000, off: restarts ? [] : ["runner"] };
}

/** Logs that the daemon writes. */
export function ownLogs({ daemon: { logging } }: Config): OwnLog[] {
  return [
    ...[logging, ...Object.values(logging.files)].map(({ file }) => ({ path: file, isSpare: true })),
    { path: logging.audit.file, isSpare: false },
  ];
}

export function logBytesMax({ daemon }: Config): number {
  return daemon.health_monitoring.alerts.log_size_threshold_mb * 2 ** 20;
}

/** Each has a budget of its own: that a disk is filling up and stays so must not use up what a full one needs. */
interface Relief {
  readonly part: string;
  /** In the infinitive. */
  readonly action: string;
  readonly act: () => void;
}

/**
 * The budget of self-healing, what asks it because of an alert, and the word of each step: an event and a line in the log. Parts that heal
 * by rules of their own are told beside it, from the alert of their trouble to its end.
 */
export class ComposedHealing {
  readonly #healing: Healing;
  readonly #reliefs: Readonly<Partial<Record<HealthCode, Relief>>>;
  readonly #raised = new Set<HealthCode>();
  #isSavingTold = false;
  readonly #tell: (step: HealingStep) => void;
  #relieveDisk: (share: number) => void = () => {};

  constructor({ config, live, clock, logger, events }: HealingPorts) {
    const log = logger.child({ part: "recovery" });
    this.#tell = (step) => {
      const { part: of, ...facts } = step;
      const isBad = step.outcome === "failed" || step.outcome === "exhausted";
      log[isBad ? "error" : "warn"]({ of, ...facts }, `self-healing: ${step.outcome}`);
      events.emit("self_healing", step, isBad ? "error" : "info");
    };
    const settings = live.options({}, settingsOf);
    this.#healing = new Healing({ clock, settings, onStep: this.#tell });
    live.follow(settingsOf, () => this.#healing.settingsChanged());
    const bytesMax = live.part(logBytesMax);
    const action = healthChecks.disk_high.healing;
    const act = (): void => this.#relieveDisk(keptShare);
    this.#reliefs = {
      disk_high: { part: "disk", action, act },
      disk_full: { part: "disk_full", action, act },
      logs_large: {
        part: "logs",
        action: healthChecks.logs_large.healing,
        act: () => void trimLogs(ownLogs(config), bytesMax() * logShare),
      },
    };
  }

  get conditions(): readonly Condition[] {
    return this.#healing.conditions;
  }

  /** What finds room by keeping only a share of what is kept of finished commands. */
  relieveDiskWith(relieve: (share: number) => void): void {
    this.#relieveDisk = relieve;
  }

  /** Resolves when hl-runner may be started again. */
  runnerTurn(why: string, signal: AbortSignal): Promise<void> {
    return this.#healing.turn("runner", healthChecks.runner_lost.healing, why, signal);
  }

  runnerBack(): void {
    this.#healing.recovered("runner");
  }

  runnerLost(why: string): void {
    this.#healing.failed("runner", why);
  }

  agentGivenUp(why: string, attempts: number): void {
    this.#healing.gaveUp("agent", healthChecks.agent_restarting.healing, why, attempts);
  }

  agentReady(): void {
    this.#healing.recovered("agent");
  }

  alertChanged({ change, code, alert }: AlertChange): void {
    if (change === "raised") this.#raised.add(code);
    else this.#raised.delete(code);
    const relief = this.#reliefs[code];
    if (relief !== undefined) {
      if (change === "raised") this.#relieve(relief, alert.text);
      else this.#healing.recovered(relief.part);
      return;
    }
    if (code === "database_being_saved") {
      if (change === "raised") this.#storeBegun(alert.text);
      return; // Its end is told by the store: it may come before a round has seen the beginning.
    }
    const { healing: action, area: part }: HealthCheck = healthChecks[code];
    if (action === undefined || code === "runner_lost") return;
    const outcome = change === "raised" ? "begun" : "recovered";
    this.#tell({ part, action, why: alert.text, outcome, attempt: 0, attempts_max: 0 });
  }

  /** A corrupt database has been saved in another file. */
  storeSaved(): void {
    const why = "the database was corrupt";
    if (!this.#isSavingTold) this.#storeBegun(why);
    this.#isSavingTold = false;
    this.#tellOfStore("recovered", why);
  }

  #storeBegun(why: string): void {
    this.#isSavingTold = true;
    this.#tellOfStore("begun", why);
  }

  #tellOfStore(outcome: "begun" | "recovered", why: string): void {
    const { area: part, healing: action } = healthChecks.database_being_saved;
    this.#tell({ part, action, why, outcome, attempt: 0, attempts_max: 0 });
  }

  /** Before each round of checks: what was tried and has not helped by now is tried again, within the budget. */
  round(): void {
    for (const code of this.#raised) {
      const relief = this.#reliefs[code];
      if (relief === undefined) continue;
      const why = `${healthChecks[code].title} still`;
      this.#healing.failed(relief.part, why);
      this.#relieve(relief, why);
    }
  }

  /** Gives every part its attempts back; answers which had used some. */
  reset(): string[] {
    return this.#healing.reset();
  }

  #relieve({ part, action, act }: Relief, why: string): void {
    if (!this.#healing.begin(part, action, why)) return;
    try {
      act();
    } catch (error) {
      this.#healing.failed(part, errorText(error));
    }
  }
}

/** What the runner's keeper asks and tells of the resident that it keeps. */
export function runnerHealed(
  healing: ComposedHealing,
  onLost: (error: Error) => void,
  check: () => void,
): Pick<RunnerPorts, "onResidentLost" | "onResidentBack" | "turnToRestart"> {
  return {
    onResidentLost: (error) => {
      onLost(error);
      healing.runnerLost(error.message);
      check();
    },
    onResidentBack: () => {
      healing.runnerBack();
      check();
    },
    turnToRestart: (why, signal) => healing.runnerTurn(why, signal),
  };
}

/** Agents count their restarts themselves; here it is noted when they are used up, and when one works again. */
export function agentHealed(healing: ComposedHealing, agent: AgentFacts, event: SupervisionEvent): void {
  if (event.type === "agent.ready") healing.agentReady();
  const isEnd = event.type === "agent.exited" ? !event.expected : event.type === "agent.restart_failed";
  if (!isEnd || !("will_restart" in event) || event.will_restart || agent.attempts === 0) return;
  healing.agentGivenUp(`${agent.processId} ended with exit code ${agent.exitCode ?? "unknown"}`, agent.attempts);
}
