import * as z from "zod";
import { defineMethod } from "../method.ts";

const networkMode = z.enum(["host", "none", "proxy"]);

export const systemInfo = defineMethod({
  name: "system/info",
  summary: "What this daemon is, where it runs, and what the kernel lets it enforce.",
  direction: "to-daemon",
  permission: "any",
  idempotent: true,
  timeoutMs: 5_000,
  errors: [],
  params: z.object({}),
  result: z.object({
    name: z.literal("hl-daemon"),
    version: z.string(),
    protocol_version: z.string(),
    instance_id: z.string(),
    workspace_id: z.string(),
    environment: z.string().describe("daemon.environment of the configuration"),
    deployment_version: z.string().optional().describe("daemon.version of the configuration"),
    pid: z.int(),
    boot_id: z.string().describe("Identity of this boot of the VM"),
    epoch: z.string().describe("Identity of the event database (S3)"),
    started_at: z.number(),
    system: z.object({
      os: z.string(),
      kernel: z.string(),
      arch: z.string(),
      hostname: z.string(),
      cpu_cores: z.int(),
      memory: z.int().describe("Total memory in MB"),
      disk_space: z.int().describe("Free disk space in MB"),
    }),
    sandbox: z
      .object({
        mode: z.boolean().describe("security.sandbox_mode"),
        landlock_abi: z.int().describe("0 where the kernel has no Landlock"),
        seccomp: z.boolean().optional().describe("Whether system calls that no tool needs can be refused"),
        network: networkMode
          .optional()
          .describe("Of commands: the machine's, none, or only through the daemon's proxy"),
        agent_network: networkMode.optional().describe("Of agents and of what they start"),
        enforced: z.array(z.string()).describe("What the kernel enforces for every command"),
        reason: z.string().optional().describe("Why commands are refused, where they are (X2)"),
      })
      .describe("What holds a command in"),
    limits: z
      .object({
        memory: z.enum(["cgroup", "watch", "none"]).describe("max_memory_mb; `watch`: by looking at the tree"),
        cpu: z.enum(["cgroup", "none"]).describe("max_cpu_percent"),
        processes: z.enum(["cgroup", "none"]).describe("max_child_processes"),
      })
      .optional()
      .describe("How the limits of process_management.resource_limits are kept: `none` is not at all (X2)"),
    capabilities: z.array(z.string()),
  }),
});
