import type { Search } from "./needle-search.ts";
import { markFor } from "./mark.ts";
import { bareMark, type Secrets } from "./secrets.ts";
import { StreamRedactor } from "./stream-redactor.ts";

/** Takes the secrets that the daemon knows out of what leaves it (X4). It knows nothing of events: logs and errors may use it as well. */
export class Redactor {
  readonly #secrets: Pick<Secrets, "search">;

  constructor(secrets: Pick<Secrets, "search">) {
    this.#secrets = secrets;
  }

  /** Whether a secret is in a text that cannot be changed. */
  holdsSecret(text: string): boolean {
    return this.#secrets.search()?.spansIn(text) !== undefined;
  }

  /** For a text that comes in pieces. */
  stream(): StreamRedactor {
    return new StreamRedactor(this.#secrets);
  }

  redactText(text: string): string {
    const search = this.#secrets.search();
    return search === undefined ? text : redactText(text, search);
  }

  /**
   * The value as JSON has it, with `[redacted:NAME]` in the place of each secret: in texts and in keys, and for a number that holds one.
   * The same value, not a copy, where there is none.
   */
  redact(value: unknown): unknown {
    const search = this.#secrets.search();
    return search === undefined || !holdsOne(value, search) ? value : redactValue(value, search);
  }
}

/** Looks without making anything: almost no value has a secret in it, and every event is looked at. */
function holdsOne(value: unknown, search: Search): boolean {
  if (typeof value === "string") return search.spansIn(value) !== undefined;
  if (typeof value === "number") return !isShort(value) && search.spansIn(String(value)) !== undefined;
  if (typeof value !== "object" || value === null) return false;
  if ("toJSON" in value && typeof value.toJSON === "function")
    return holdsOne((value as { toJSON: () => unknown }).toJSON(), search);
  if (Array.isArray(value)) return value.some((item) => holdsOne(item, search));
  for (const key of Object.keys(value)) {
    if (search.spansIn(key) !== undefined || holdsOne((value as Record<string, unknown>)[key], search)) return true;
  }
  return false;
}

/** Fewer characters than any secret has (`secretBytesMin`). */
function isShort(value: number): boolean {
  return Number.isInteger(value) && Math.abs(value) < 10_000;
}

function redactValue(value: unknown, search: Search): unknown {
  if (typeof value === "string") return redactText(value, search);
  if (typeof value === "number") return search.spansIn(String(value)) ? redactText(String(value), search) : value;
  if (typeof value !== "object" || value === null) return value;
  if ("toJSON" in value && typeof value.toJSON === "function") {
    const json: unknown = (value as { toJSON: () => unknown }).toJSON();
    const redacted = redactValue(json, search);
    return Object.is(redacted, json) ? value : redacted;
  }
  if (!Array.isArray(value)) return redactObject(value, search);
  const items = value.map((item: unknown) => redactValue(item, search));
  return items.some((item, at) => !Object.is(item, value[at])) ? items : value;
}

function redactObject(value: object, search: Search): unknown {
  const entries = Object.entries(value).map(([key, item]) => [redactText(key, search), redactValue(item, search)]);
  const isSame = Object.entries(value).every(
    ([key, item], at) => entries[at]?.[0] === key && Object.is(entries[at][1], item),
  );
  return isSame ? value : Object.fromEntries(withoutDoubles(entries as [string, unknown][]));
}

/** Two keys may have become the same; neither value is to go. */
function withoutDoubles(entries: readonly [string, unknown][]): [string, unknown][] {
  const seen = new Set<string>();
  return entries.map(([key, item]) => {
    let unique = key;
    for (let number = 2; seen.has(unique); number += 1) unique = `${key}#${number}`;
    seen.add(unique);
    return [unique, item];
  });
}

function redactText(text: string, search: Search): string {
  const spans = search.spansIn(text);
  if (spans === undefined) return text;
  const parts: string[] = [];
  let behind = 0;
  for (const { from, to, name } of spans) {
    parts.push(text.slice(behind, from), markFor(name, search));
    behind = to;
  }
  const redacted = parts.join("") + text.slice(behind);
  // What is left, or a mark with its neighbours, may make a secret of its own.
  return search.spansIn(redacted) === undefined ? redacted : bareMark;
}
