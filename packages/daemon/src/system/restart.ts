import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller, Handler, ResultOf } from "@hl/protocol/method.ts";
import type { systemRestart } from "@hl/protocol/methods/system-restart.ts";

export type Restarting = ResultOf<typeof systemRestart>;

/** Who supervises the daemon says so with this variable in its environment, and starts it again when it ends with `restartExitCode`. */
export const supervisedVariable = "HL_SUPERVISED";

/** Of sysexits, EX_TEMPFAIL: no end that anybody else has for the daemon. hl-daemon.service names it. */
export const restartExitCode = 75;

/** Whether whoever started this process starts it again. Takes it out of `env`, so that nobody who is started from here claims the same. */
export function takeSupervised(env: Record<string, string | undefined>): boolean {
  const isSupervised = env[supervisedVariable] === "1";
  Reflect.deleteProperty(env, supervisedVariable);
  return isSupervised;
}

export interface RestartOptions {
  readonly clock: Clock;
  /** Has the process end and be started again; undefined where nobody would start it. */
  readonly restart: (() => void) | undefined;
  /** Told to stop already, it takes no restart on. */
  readonly isStopping: () => boolean;
  readonly describe: () => Omit<Restarting, "status">;
  /** Told once, before anything ends. */
  readonly onAsked: (caller: Caller, restarting: Restarting) => void;
}

/** The answer of a caller whose connection has gone, or has no room for more than answers, is not waited for any longer. */
const answerMsMax = 1_000;

/** States: serving → asked (the answer is on its way) → ending. Whoever asks meanwhile gets the same answer, and it ends once. */
export function restartHandler(options: RestartOptions): Handler<typeof systemRestart> {
  const { clock, restart, describe, onAsked } = options;
  let asked: Restarting | undefined;
  let isEnding = false;
  const end = (): void => {
    if (isEnding) return;
    isEnding = true;
    restart?.();
  };
  return async (_params, call) => {
    if (restart === undefined) {
      const text = `nothing would start this daemon again: it runs without a supervisor (${supervisedVariable} is not set)`;
      throw new HlError("not_supervised", text);
    }
    if (asked !== undefined) return asked;
    if (options.isStopping()) throw new HlError("shutting_down", "the daemon was told to stop, and stays stopped");
    asked = { status: "restarting", ...describe() };
    onAsked(call.caller, asked);
    call.stream(async () => end()); // Begins when the answer is on its way.
    clock.after(answerMsMax, end);
    return asked;
  };
}
