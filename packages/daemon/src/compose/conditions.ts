import type { Config } from "@hl/config/load.ts";
import { errorTable } from "@hl/protocol/errors.ts";
import type { Condition } from "../health/alert-book.ts";
import type { ComposedCloud } from "./cloud.ts";
import { firstProblem, type Enforceable } from "./enforceable.ts";
import type { RunnerTrouble } from "./runner.ts";

/** Nothing is quietly other than configured (X2): what was set once and does not hold is told. */
export function overridesConditions(rejected: readonly string[]): Condition[] {
  if (rejected.length === 0) return [];
  const text = `${rejected.join("; ")}. The next change by system/config/update leaves it out and keeps the file as config-overrides.json.rejected`;
  return [{ code: "config_overrides_rejected", text }];
}

export function runnerConditions(trouble: RunnerTrouble | undefined): Condition[] {
  return trouble === undefined ? [] : [{ code: "runner_lost", text: trouble.reason, sinceMs: trouble.sinceMs }];
}

export function sandboxConditions(config: Config, enforceable: Enforceable): Condition[] {
  const problem = firstProblem(enforceable);
  if (!config.daemon.security.sandbox_mode || problem === undefined) return [];
  const { problem: ofAll, network } = enforceable;
  const who = (ofAll ?? network.problem) === undefined ? "agents" : "commands";
  const text = `${problem}; ${who} are refused until it is, or until security.sandbox_mode is false`;
  return [{ code: "sandbox_unavailable", text }];
}

/** @param now of the monotonic clock */
export function cloudConditions(cloud: ComposedCloud | undefined, now: number, skewMsMax: number): Condition[] {
  if (cloud === undefined) return [];
  const conditions: Condition[] = [];
  const { link } = cloud;
  const shut = cloud.shut();
  if (shut !== undefined) {
    const text = `${errorTable[shut].when}: ${errorTable[shut].help} Events are kept`;
    conditions.push({ code: `cloud_${shut}`, text });
  }
  if (link.disconnectedMs > 0) {
    const text = `${link.lastError ?? "no attempt has been made yet"}; events are kept and commands of the cloud wait`;
    conditions.push({ code: "cloud_disconnected", text, sinceMs: now - link.disconnectedMs });
  }
  const skewMs = link.clockSkewMs ?? 0;
  if (Math.abs(skewMs) > skewMsMax) {
    const text = `it is ${Math.round(Math.abs(skewMs) / 1000)} s ${skewMs > 0 ? "behind" : "ahead of"} the control plane's; the threshold is ${skewMsMax / 1000} s`;
    conditions.push({ code: "clock_skewed", text });
  }
  return conditions;
}
