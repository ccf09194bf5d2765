import { z } from "zod";
import { tag, type Fields } from "./frames.ts";

const byCgroup = z.enum(["cgroup", "none"]).catch("none");

/** How each limit of a command is kept: by the kernel (`cgroup`), by watching the tree (`watch`), or not at all (`none`). */
const limitsSchema = z.object({
  memory: z.enum(["cgroup", "watch", "none"]).catch("none"),
  cpu: byCgroup,
  processes: byCgroup,
});

const probeSchema = z.object({
  landlock_abi: z.int().catch(0),
  limits: limitsSchema.catch({ memory: "none", cpu: "none", processes: "none" }),
});

export type RunnerLimits = z.output<typeof limitsSchema>;

/** What a runner says of itself and its kernel; what it does not say it cannot do. */
export interface RunnerProbe {
  readonly landlockAbi: number;
  readonly limits: RunnerLimits;
  /** Why it could not be asked. */
  readonly problem?: string | undefined;
}

/** A frame PROBED; throws on one that no runner of ours sends. */
export function runnerProbe(fields: Fields): RunnerProbe {
  const said = probeSchema.parse(JSON.parse(fields.text(tag.message) ?? "null"));
  return { landlockAbi: said.landlock_abi, limits: said.limits };
}

export function failedProbe(problem: string): RunnerProbe {
  return { landlockAbi: 0, limits: { memory: "none", cpu: "none", processes: "none" }, problem };
}
