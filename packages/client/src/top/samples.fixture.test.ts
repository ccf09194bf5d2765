import { healthSample, infoSample } from "../testing/samples.ts";
import type { Listed, Sample } from "./sample.ts";

/** Samples that tests change where it matters. */
export function listed(id: string, more: Partial<Listed> = {}): Listed {
  return {
    ...{ command_id: id, command: "sleep", args: ["600"], status: "started", process_id: 4_711, user: "developer" },
    started_at: healthSample.timestamp - 65,
    ...more,
  };
}

export function ended(id: string, secondsAgo: number): Listed {
  const ended_at = healthSample.timestamp - secondsAgo;
  return listed(id, { status: "completed", reason: "exited", exit_code: 0, ended_at, started_at: ended_at - 1 });
}

type Agent = NonNullable<Sample["agents"]>[number];

export function agent(id: string, more: Partial<Agent> = {}): Agent {
  return {
    ...{ process_id: id, pid: 9, status: "running", session_id: "s", protocol: "stream-json", turns: 3 },
    ...{ workspace_path: "/home/developer/workspace", started_at: healthSample.timestamp - 100, approvals_open: 0 },
    usage: {
      ...{ turns: 3, errors: 0, tool_calls: 1, input_tokens: 1, output_tokens: 1 },
      ...{ cache_read_tokens: 0, cache_creation_tokens: 0, cost_usd: 1.234 },
    },
    ...more,
  };
}

export function sampleOf(more: Partial<Sample> = {}): Sample {
  const commands = [listed("c-1", { usage: { cpu_time: 6_500, memory_mb: 12.5, source: "cgroup" } })];
  return { info: infoSample, health: healthSample, commands, agents: [agent("a-1")], refused: {}, ...more };
}
