import type { Clock } from "@hl/core/clock.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";
import { programOf } from "../commands/decision.ts";

type Fields = Readonly<Record<string, unknown>>;

export interface PrivilegedCallsOptions {
  readonly clock: Clock;
  readonly append: (record: Fields) => void;
}

/** These only look: they tell how things are, not what is in them. Asked many times a second, they would bury what matters. */
const looking: ReadonlySet<string> = new Set([
  ...["approval/list", "approval/subscribe", "claude/list", "claude/status", "command/list", "command/status"],
  ...["event/subscribe", "file/stat", "file/unwatch", "system/health"],
]);
/** What says whom or what a call was about. Never arguments, variables, contents or messages (X4). */
const naming: ReadonlyMap<string, string> = new Map([
  ...["approval_id", "command_id", "process_id", "relay_id", "upload_id", "watch_id", "event_id", "event_type"].map(
    itself,
  ),
  ...["path", "signal", "offset", "length"].map(itself),
  ["config_section", "section"],
  ["decision", "wanted"],
  ["from", "from_path"],
  ["to", "to_path"],
]);
const textCharactersMax = 512;
const configKeysMax = 50;

/** Calls of one method by one caller in a second; of the others there is the number. */
const wholeMax = 100;
const windowMs = 1_000;
/** Methods and callers that are told apart in a window. */
const kindsMax = 1_000;

/** Whether each call of it is a record: it changes something, or reads files, output, events or the configuration. */
export function isPrivileged({ definition }: Pick<CallRecord, "definition">): boolean {
  if (definition === undefined || definition.permission === "none" || definition.permission === "any") return false;
  return !looking.has(definition.name);
}

interface Kind {
  calls: number;
  readonly who: Fields;
}

/**
 * One record for each privileged call that was let in, whatever came of it. A flood of one kind is told whole up to a number in each second, and
 * counted behind that (S2): it neither fills the disk nor hides what others do.
 */
export class PrivilegedCalls implements Disposable {
  readonly #options: PrivilegedCallsOptions;
  readonly #kinds = new Map<string, Kind>();
  #cancel: (() => void) | undefined;

  constructor(options: PrivilegedCallsOptions) {
    this.#options = options;
  }

  record(call: CallRecord): void {
    if (!isPrivileged(call)) return;
    const { clock, append } = this.#options;
    this.#cancel ??= clock.after(windowMs, () => this.#endWindow());
    const { method, caller, from } = call;
    const who = { method, ...whoOf(caller), from: from ?? caller?.via };
    const key = JSON.stringify(who);
    let kind = this.#kinds.get(key);
    if (kind === undefined && this.#kinds.size < kindsMax) this.#kinds.set(key, (kind = { calls: 0, who }));
    kind ??= this.#others();
    kind.calls += 1;
    if (kind.calls <= wholeMax) append(recordOf(call));
  }

  [Symbol.dispose](): void {
    this.#cancel?.();
    this.#endWindow();
  }

  #others(): Kind {
    const others = this.#kinds.get("") ?? { calls: 0, who: {} };
    this.#kinds.set("", others);
    return others;
  }

  #endWindow(): void {
    this.#cancel = undefined;
    for (const { calls, who } of this.#kinds.values()) {
      if (calls > wholeMax)
        this.#options.append({ kind: "repeated", decision: "allow", ...who, count: calls - wholeMax });
    }
    this.#kinds.clear();
  }
}

/** What it was about, by the names in its parameters. */
function aboutOf({ params }: CallRecord): Fields {
  if (typeof params !== "object" || params === null) return {};
  const about: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(params as Record<string, unknown>)) {
    const name = naming.get(key);
    if (name !== undefined) about[name] = shown(value);
    else if (key === "command" && typeof value === "string") about["command"] = programOf(value);
    else if (key === "config_data" && typeof value === "object" && value !== null)
      about["config_keys"] = Object.keys(value).slice(0, configKeysMax).map(cut);
  }
  return about;
}

/** What a record has beside who, what and how it was decided. */
export function detailsOf(call: CallRecord): Fields {
  const { caller, from, definition, requestId, durationMs } = call;
  return {
    permission: definition?.permission,
    from: from ?? caller?.via,
    // Of somebody who is known: what a stranger writes is not kept.
    ...(caller === undefined ? {} : aboutOf(call)),
    duration_ms: Math.round(durationMs * 1000) / 1000,
    request_id: shown(requestId),
  };
}

function recordOf(call: CallRecord): Fields {
  const { method, caller, error } = call;
  const error_type = error === undefined ? undefined : error instanceof HlError ? error.type : "internal_error";
  return { kind: "call", decision: "allow", method, ...whoOf(caller), error_type, ...detailsOf(call) };
}

/** Whose credentials they were, as every record of the audit has it. */
export function whoOf(caller: Caller | undefined): Fields {
  return { caller: caller?.subject, role: caller?.role, via: caller?.via, credential: caller?.credential };
}

function itself(name: string): [string, string] {
  return [name, name];
}

function shown(value: unknown): unknown {
  if (typeof value === "string") return cut(value);
  return typeof value === "number" || typeof value === "boolean" ? value : undefined;
}

function cut(text: string): string {
  return text.length <= textCharactersMax ? text : `${text.slice(0, textCharactersMax)}…`;
}
