/** Seconds, or a moment as HTTP writes it (RFC 9110, 5.6.7) and as it did before. */
const seconds = /^\s*(\d+)\s*$/;
const moment = /^\s*[A-Z][a-z]+, \d\d[ -][A-Z][a-z]{2}[ -]\d{2,4} \d\d:\d\d:\d\d GMT\s*$/;

export interface RetryAfterHeaders {
  readonly retryAfter: string | undefined;
  /** The `Date` of the same answer: a moment is by the clock of whoever names it, and ours may be another. */
  readonly date?: string | undefined;
}

/**
 * How long to wait; undefined where the header says nothing that can be read. Clamped from a second on, so that a mistaken server can neither
 * silence a VM for a day nor make it ask without a pause.
 * @param nowMs our wall clock, for an answer without a `Date`
 */
export function retryAfterMs(headers: RetryAfterHeaders, maxMs: number, nowMs: number): number | undefined {
  const waitMs = waitIn(headers, nowMs);
  return waitMs === undefined ? undefined : Math.min(Math.max(waitMs, 1_000), maxMs);
}

function waitIn({ retryAfter = "", date }: RetryAfterHeaders, nowMs: number): number | undefined {
  const [, count] = seconds.exec(retryAfter) ?? [];
  if (count !== undefined) return Number(count) * 1000;
  const at = momentMs(retryAfter);
  return at === undefined ? undefined : at - (momentMs(date) ?? nowMs);
}

function momentMs(text: string | undefined): number | undefined {
  if (text === undefined || !moment.test(text)) return undefined;
  const ms = Date.parse(text);
  return Number.isNaN(ms) ? undefined : ms;
}
