import { join } from "node:path";
import type { Config } from "@hl/config/load.ts";
import type { PlanSettings } from "../commands/plan.ts";
import type { HostFacts } from "../host-facts.ts";
import type { Enforceable } from "./enforceable.ts";

/** Folders of the daemon itself that no command and no agent may enter, whatever the lists say (X1). */
const ownFolders = ["config", "logs", "data/auth", "data/state", "data/metrics", "data/runner"];

/** The configuration as the planner of commands and agents wants it. */
export function planSettings(config: Config, host: HostFacts, enforceable: Enforceable): PlanSettings {
  const { process_management: processes, security } = config.daemon;
  const { allowed_paths: allowedPaths, blocked_paths: blockedPaths } = security.file_access;
  const user = processes.default_user ?? host.user;
  return {
    policy: { allowed: processes.allowed_commands, blocked: processes.blocked_commands },
    paths: { allowedPaths, blockedPaths: [...blockedPaths, ...ownFolders.map((folder) => join(config.home, folder))] },
    workspace: allowedPaths[0] ?? config.home,
    sandboxed: security.sandbox_mode,
    sandboxProblem: enforceable.problem,
    network: enforceable.network,
    agentNetwork: enforceable.agentNetwork,
    noNetwork: enforceable.noNetwork,
    allowNamespaces: security.sandbox.allow_namespaces,
    readOnlyPaths: security.sandbox.read_only_paths,
    temporaryRoot: processes.temp_dir,
    user,
    users: [user],
    environment: processes.environment,
    timeoutMs: processes.process_timeout * 1000,
    timeoutMsMax: processes.resource_limits.max_execution_time * 1000,
    idleTimeoutMs: processes.idle_timeout === undefined ? undefined : processes.idle_timeout * 1000,
    stopGraceMs: processes.stop_grace_seconds * 1000,
    openFilesMax: processes.resource_limits.max_open_files,
    logBytesMax: processes.log_bytes_max,
    memoryBytesMax: processes.resource_limits.max_memory_mb * 1_048_576,
    // Of the whole machine there, of one processor here.
    cpuPercentMax: Math.max(1, Math.round(processes.resource_limits.max_cpu_percent * host.cores)),
    processesMax: processes.resource_limits.max_child_processes,
  };
}
