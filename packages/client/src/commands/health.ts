import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { escapeLine } from "../render/escape.ts";
import { alertLines, verdict } from "../render/health.ts";
import { ago, bytes, duration } from "../render/quantity.ts";
import { renderFacts, type Cell } from "../render/table.ts";
import type { Session } from "../session.ts";

type Health = ResultOf<typeof systemHealth>;

const codeByStatus = { healthy: exitCode.ok, degraded: exitCode.degraded, unhealthy: exitCode.unhealthy } as const;

export function addHealth(parent: Command, cli: Cli): void {
  verb(parent, "health", "the figures behind the verdict; exits 0 healthy, 1 unhealthy, 2 degraded").action(
    (_options, command: Command) => cli.run(command, health),
  );
}

async function health(session: Session): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("system/health", { detailed: true });
  if (session.json) session.printJson(result);
  else print(session, result);
  return codeByStatus[result.status];
}

function print({ out, paint, nowSeconds }: Session, result: Health): void {
  out.line(verdict(result.status, paint));
  for (const line of renderFacts(factsOf(result, nowSeconds), paint)) out.line(line);
  for (const line of alertLines(result.alerts, paint)) out.line(line);
  for (const error of result.recent_errors ?? []) out.line(`  ${paint("faint", "recent error:")} ${escapeLine(error)}`);
}

function factsOf(health: Health, now: number): (readonly [string, Cell])[] {
  const { system_metrics: system, service_status: services, spool, cloud, process } = health;
  const agents = (health.agents.list ?? []).map((agent) => `${agent.process_id} ${agent.status}`).join(", ");
  return [
    ["version", health.version],
    ["up", duration(health.uptime)],
    ["cpu", `${system.cpu_usage.toFixed(1)} %, load ${system.load_average.map((load) => load.toFixed(2)).join(" ")}`],
    [
      "memory",
      `${Math.round(system.memory_usage)} MB used in the VM, ${process.memory_rss_mb.toFixed(1)} MB by the daemon`,
    ],
    ["disk", `${system.disk_usage.toFixed(1)} % of the data file system`],
    ["network", `${bytes(system.network_io.bytes_received)} in, ${bytes(system.network_io.bytes_sent)} out`],
    ["loop delay", `${process.loop_delay_ms.toFixed(1)} ms (p99)`],
    ["claude code", serviceCell(services.claude_code)],
    ["api connection", serviceCell(services.api_connection)],
    ["event streaming", serviceCell(services.event_streaming)],
    [
      "cloud",
      cloud.configured
        ? `last contact ${cloud.last_contact === null ? "never" : ago(now - cloud.last_contact)}, ${cloud.reconnects} reconnects`
        : "not configured",
    ],
    ["agents", `${health.agents.running} running${agents === "" ? "" : `: ${agents}`}`],
    ["commands", `${health.commands.running} running, ${health.commands.finished} finished`],
    ["spool", `depth ${spool.depth}, ${bytes(spool.bytes)}, oldest ${duration(spool.oldest_age)}`],
    ["not delivered", `${spool.rejected} rejected, ${spool.gaps} gaps, ${spool.dead_letters} dead letters`],
  ];
}

function serviceCell(state: string): Cell {
  return { text: state, tone: state === "error" ? "bad" : "plain" };
}
