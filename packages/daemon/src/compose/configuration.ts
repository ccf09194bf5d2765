import { problemInWords, type Problem } from "@hl/config/problem.ts";
import { Configuration, type FoundConfiguration, type Live } from "../configuration/configuration.ts";
import { configHandlers, wireChanges } from "../configuration/handlers.ts";
import type { Audit } from "./audit.ts";
import { bySignal } from "./config-audit.ts";

export type Reloaded =
  | {
      readonly ok: true;
      /** Pointers of what holds from now on. */
      readonly applied: readonly string[];
      /** Pointers of what was found or set since the start and holds at the next one. */
      readonly waiting: readonly string[];
    }
  | { readonly ok: false; readonly problems: readonly Problem[] };

export interface ConfigurationPorts {
  readonly found: FoundConfiguration;
  readonly live: Live;
  readonly audit: Audit;
  /** Health is to be judged again. */
  readonly onChanged: () => void;
}

export interface ComposedConfiguration {
  readonly handlers: ReturnType<typeof configHandlers>;
  readonly reload: () => Reloaded;
  /** The daemon stops: nothing is changed any more. */
  readonly close: () => void;
  /** What is wrong in the overrides file and does not hold. */
  readonly rejected: () => string[];
}

/** The configuration of the running daemon, joined to the audit. */
export function composeConfiguration({ found, live, audit, onChanged }: ConfigurationPorts): ComposedConfiguration {
  const configuration = new Configuration({ live, found });
  return {
    handlers: configHandlers({
      configuration,
      onUpdate: (caller, changes) => {
        audit.config(caller, changes);
        onChanged();
      },
      onRefused: audit.configRefused,
    }),
    reload: () => {
      const outcome = configuration.reload();
      if (!outcome.ok) {
        const message = outcome.problems.map(problemInWords).join("; ");
        audit.configRefused(bySignal, "", { type: "config_invalid", message });
        return outcome;
      }
      const { changes } = outcome;
      if (changes.length > 0) audit.config(bySignal, wireChanges(changes));
      onChanged();
      const applied = changes.filter(({ reload }) => reload === "live").map(({ pointer }) => pointer);
      return { ok: true, applied, waiting: configuration.waiting.map(({ pointer }) => pointer) };
    },
    close: () => configuration.close(),
    rejected: () => configuration.rejected.map(problemInWords),
  };
}
