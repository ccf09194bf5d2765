import * as z from "zod";
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
  seccomp: z.boolean().catch(false),
  network_namespaces: z.boolean().catch(false),
  network_problem: z.string().catch(""),
  capabilities_dropped: z.boolean().catch(false),
  limits: limitsSchema.catch({ memory: "none", cpu: "none", processes: "none" }),
});

export type RunnerLimits = z.output<typeof limitsSchema>;

/** What a runner says of itself and its kernel; what it does not say it cannot do. */
export interface RunnerProbe {
  readonly landlockAbi: number;
  /** Whether sandboxed programs run under the filter of system calls. */
  readonly seccomp: boolean;
  readonly capabilitiesDropped: boolean;
  /** Whether a program can get a network of its own. */
  readonly networkNamespaces: boolean;
  /** What was refused and why, where it cannot. */
  readonly networkProblem?: string | undefined;
  readonly limits: RunnerLimits;
  /** Why it could not be asked. */
  readonly problem?: string | undefined;
}

/** A frame PROBED; throws on one that no runner of ours sends. */
export function runnerProbe(fields: Fields): RunnerProbe {
  const said = probeSchema.parse(JSON.parse(fields.text(tag.message) ?? "null"));
  return {
    landlockAbi: said.landlock_abi,
    seccomp: said.seccomp,
    capabilitiesDropped: said.capabilities_dropped,
    networkNamespaces: said.network_namespaces,
    networkProblem: said.network_problem === "" ? undefined : said.network_problem,
    limits: said.limits,
  };
}

export function failedProbe(problem: string): RunnerProbe {
  return {
    landlockAbi: 0,
    seccomp: false,
    capabilitiesDropped: false,
    networkNamespaces: false,
    limits: { memory: "none", cpu: "none", processes: "none" },
    problem,
  };
}
