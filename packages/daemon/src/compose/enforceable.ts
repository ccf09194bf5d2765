import type { Config } from "@hl/config/load.ts";
import type { NetworkSettings } from "../commands/plan.ts";
import type { RunnerProbe } from "../runner/probe.ts";

/** What of the configured sandbox can be had here. What cannot is refused, never quietly weaker (X2). */
export interface Enforceable {
  /** Why nothing can be held in. */
  readonly problem: string | undefined;
  readonly network: NetworkSettings;
  readonly agentNetwork: NetworkSettings;
  /** Of what needs none: nobody has asked for it, so where it cannot be had nothing is refused. */
  readonly noNetwork: NetworkSettings;
}

type Sandbox = Config["daemon"]["security"]["sandbox"];

export function enforceableOf(sandbox: Sandbox, probe: RunnerProbe, proxySocketPath: string): Enforceable {
  const networkOf = (key: "network" | "agent_network"): NetworkSettings => {
    const kind = sandbox[key];
    return {
      kind,
      ...(kind === "proxy" ? { proxySocket: proxySocketPath } : {}),
      ...(kind === "host" || probe.networkNamespaces ? {} : { problem: namespaceProblem(key, kind, probe) }),
    };
  };
  return {
    problem: kernelProblem(probe),
    network: networkOf("network"),
    agentNetwork: networkOf("agent_network"),
    noNetwork: { kind: probe.networkNamespaces ? "none" : "host" },
  };
}

/** The first reason why some process is refused. */
export function firstProblem({ problem, network, agentNetwork }: Enforceable): string | undefined {
  return problem ?? network.problem ?? agentNetwork.problem;
}

function kernelProblem(probe: RunnerProbe): string | undefined {
  if (probe.problem !== undefined) return `hl-runner cannot say what this kernel offers: ${probe.problem}`;
  if (probe.landlockAbi === 0) return "this kernel has no Landlock, or it is not enabled";
  if (!probe.seccomp) return "this kernel filters no system calls (seccomp), or hl-runner is older than the daemon";
  return undefined;
}

function namespaceProblem(key: string, kind: string, probe: RunnerProbe): string {
  const why = probe.networkProblem ?? "hl-runner is older than the daemon";
  return (
    `security.sandbox.${key} is "${kind}", which needs network namespaces, and they cannot be made: ${why}. ` +
    `Allow user namespaces to the runner's user (user.max_user_namespaces, kernel.unprivileged_userns_clone, kernel.apparmor_restrict_unprivileged_userns), or set security.sandbox.${key} to "host" knowingly`
  );
}
