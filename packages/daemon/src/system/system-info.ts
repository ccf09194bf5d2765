import { statfsSync } from "node:fs";
import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import { protocolVersion, version } from "@hl/protocol/version.ts";

type NetworkMode = "host" | "none" | "proxy";

export interface SystemInfoFacts {
  readonly config: {
    readonly daemon: {
      readonly daemon: {
        readonly workspace_id?: string | undefined;
        readonly environment: string;
        readonly version: string;
      };
      readonly security: {
        readonly sandbox_mode: boolean;
        readonly sandbox: { readonly network: NetworkMode; readonly agent_network: NetworkMode };
      };
    };
  };
  /** Whether agents can be started. */
  readonly hasAgents: boolean;
  readonly host: {
    readonly bootId: string;
    readonly instanceId: string;
    readonly os: string;
    readonly kernel: string;
    readonly arch: string;
    readonly hostname: string;
    readonly cores: number;
    readonly memoryMb: number;
  };
  readonly probe: {
    readonly landlockAbi: number;
    readonly seccomp: boolean;
    readonly capabilitiesDropped: boolean;
    readonly limits: ResultOf<typeof systemInfo>["limits"];
  };
  readonly sandboxProblem: string | undefined;
  readonly epoch: string;
  readonly uptimeMs: number;
  readonly wallMs: number;
  readonly diskPath: string;
}

export function systemInfoOf(facts: SystemInfoFacts): ResultOf<typeof systemInfo> {
  const { config, hasAgents, host, probe, sandboxProblem, epoch, uptimeMs, wallMs, diskPath } = facts;
  const disk = statfsSync(diskPath);
  const { sandbox_mode: mode, sandbox } = config.daemon.security;
  const sandboxed = mode && sandboxProblem === undefined;
  return {
    name: "hl-daemon",
    version,
    protocol_version: protocolVersion,
    instance_id: host.instanceId,
    workspace_id: config.daemon.daemon.workspace_id ?? "",
    environment: config.daemon.daemon.environment,
    deployment_version: config.daemon.daemon.version,
    pid: process.pid,
    boot_id: host.bootId,
    epoch,
    started_at: (wallMs - uptimeMs) / 1000,
    system: {
      os: host.os,
      kernel: host.kernel,
      arch: host.arch,
      hostname: host.hostname,
      cpu_cores: host.cores,
      memory: host.memoryMb,
      disk_space: Math.floor((disk.bavail * disk.bsize) / 1_048_576),
    },
    sandbox: {
      mode,
      landlock_abi: probe.landlockAbi,
      seccomp: probe.seccomp,
      // Without the sandbox nothing keeps a process from the machine's network.
      network: mode ? sandbox.network : "host",
      agent_network: mode ? sandbox.agent_network : "host",
      enforced: sandboxed ? enforcedBy(probe) : ["no_new_privs", "rlimits"],
      ...(sandboxProblem === undefined ? {} : { reason: sandboxProblem }),
    },
    limits: probe.limits,
    capabilities: [
      "commands",
      "dry_run",
      "events",
      ...(hasAgents ? ["claude-code"] : []),
      ...(sandboxed ? ["sandbox"] : []),
    ],
  };
}

/** What the kernel offers of it; each version of Landlock's interface adds something. */
function enforcedBy({ landlockAbi: abi, seccomp, capabilitiesDropped }: SystemInfoFacts["probe"]): string[] {
  return [
    "no_new_privs",
    "rlimits",
    ...(seccomp ? ["seccomp"] : []),
    ...(capabilitiesDropped ? ["capabilities"] : []),
    "landlock_files",
    ...(abi >= 2 ? ["landlock_refer"] : []),
    ...(abi >= 3 ? ["landlock_truncate"] : []),
    ...(abi >= 5 ? ["landlock_ioctl"] : []),
    ...(abi >= 6 ? ["landlock_scoped_signals", "landlock_scoped_abstract_sockets"] : []),
  ];
}
