import type { ConfigChange } from "@hl/protocol/config-change.ts";
import type { HlError } from "@hl/protocol/errors.ts";
import type { Caller } from "@hl/protocol/method.ts";

/** Who changes the configuration: a caller, or whoever may send this process a signal. */
export type Changer = Caller | { readonly subject: string; readonly role?: undefined; readonly via: "signal" };

export const bySignal: Changer = { subject: "SIGHUP", via: "signal" };

/** What one record shows of it; of more only the number. */
const changesMax = 100;
const valueCharactersMax = 1_000;

/** What was changed by whom, for the audit; secrets are masked already. */
export function configFields(
  { subject: caller, role, via }: Changer,
  changes: readonly ConfigChange[],
): Record<string, unknown> {
  const shown = changes.slice(0, changesMax).map(({ before, after, ...change }) => ({
    ...change,
    before: shortened(before),
    after: shortened(after),
  }));
  return {
    ...{ kind: "config", decision: "allow", caller, role, via },
    changes: shown,
    change_count: changes.length,
    restart_required: changes.some(({ reload }) => reload === "restart"),
  };
}

export function refusedConfigFields(
  { subject: caller, role, via }: Changer,
  section: string,
  error: Pick<HlError, "type" | "message">,
): Record<string, unknown> {
  return {
    kind: "config",
    decision: "deny",
    caller,
    role,
    via,
    section,
    error_type: error.type,
    reason: error.message,
  };
}

/** Long lists are text then, cut off. */
function shortened(value: unknown): unknown {
  const text = (JSON.stringify(value) as string | undefined) ?? "";
  return text.length <= valueCharactersMax ? value : `${text.slice(0, valueCharactersMax)}…`;
}
