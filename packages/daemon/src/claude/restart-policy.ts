/** When an agent that has ended without having been asked to is started again. */

export interface RestartSettings {
  readonly enabled: boolean;
  /** In a row; one more end, and the agent is given up. */
  readonly attemptsMax: number;
  /** Before the first of a row; doubled before each further one. */
  readonly delayMs: number;
}

/** Doubled no further than this, where the first is not longer. */
export const restartDelayMsMax = 60_000;
/** One that was ready and has lived so long is well: its end begins a new row. So at most `attemptsMax` restarts come within this time. */
export const wellAfterMs = 600_000;

export interface NextRestart {
  readonly attempts: number;
  readonly delayMs: number;
}

/** Undefined where it is given up. @param livedMs of the process that was ready; undefined for one that never was */
export function nextRestart(
  settings: RestartSettings,
  attempts: number,
  livedMs: number | undefined,
): NextRestart | undefined {
  const { enabled, attemptsMax, delayMs } = settings;
  const inRow = livedMs !== undefined && livedMs >= wellAfterMs ? 0 : attempts;
  if (!enabled || inRow >= attemptsMax) return undefined;
  const delayMsMax = Math.max(delayMs, restartDelayMsMax);
  return { attempts: inRow + 1, delayMs: Math.min(delayMsMax, delayMs * 2 ** Math.min(inRow, 30)) };
}
