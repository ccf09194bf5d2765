import type { ResultOf } from "@hl/protocol/method.ts";
import type { systemHealth } from "@hl/protocol/methods/system-health.ts";
import type { systemInfo } from "@hl/protocol/methods/system-info.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { alertLines, verdict } from "../render/health.ts";
import { ago, bytes, duration, plural } from "../render/quantity.ts";
import { renderFacts, type Cell } from "../render/table.ts";
import type { Session } from "../session.ts";

type Info = ResultOf<typeof systemInfo>;
type Health = ResultOf<typeof systemHealth>;

export function addStatus(parent: Command, cli: Cli): void {
  verb(parent, "status", "what runs here and how it is, on one screen").action((_options, command: Command) =>
    cli.run(command, status),
  );
}

async function status(session: Session): Promise<number> {
  using connection = await session.connect();
  const [info, health] = await Promise.all([connection.call("system/info", {}), connection.call("system/health", {})]);
  if (session.json) {
    session.printJson({ info, health });
    return exitCode.ok;
  }
  const { paint, out } = session;
  out.line(`${paint("strong", "hl-daemon")} ${paint("plain", info.version)}  ${verdict(health.status, paint)}`);
  for (const line of renderFacts(factsOf(info, health, session.nowSeconds), paint)) out.line(line);
  for (const line of alertLines(health.alerts, paint)) out.line(line);
  return exitCode.ok;
}

function factsOf(info: Info, health: Health, now: number): (readonly [string, Cell])[] {
  const { system, sandbox } = info;
  return [
    ["instance", [`${info.instance_id} (${info.environment})`, ...named("workspace", info.workspace_id)].join(", ")],
    ["host", `${system.hostname}, ${system.os} ${system.kernel} ${system.arch}, ${plural(system.cpu_cores, "core")}`],
    ["up", `${duration(health.uptime)}, pid ${info.pid}`],
    ["cloud", cloudCell(health, now)],
    ["agents", `${health.agents.running} running (${health.service_status.claude_code})`],
    ["commands", `${health.commands.running} running, ${health.commands.finished} finished`],
    ["spool", spoolCell(health)],
    ["sandbox", sandboxCell(sandbox)],
    ["alerts", health.alerts.length === 0 ? "none" : { text: String(health.alerts.length), tone: "warning" }],
  ];
}

/** Nothing where the configuration gives no name. */
function named(what: string, name: string): string[] {
  return name === "" ? [] : [`${what} ${name}`];
}

function cloudCell(health: Health, now: number): Cell {
  const { configured, last_contact: contact, reconnects } = health.cloud;
  if (!configured) return "not configured";
  const state = health.service_status.api_connection;
  const last = contact === null ? "never reached" : `last contact ${ago(now - contact)}`;
  const text = `${state}, ${last}, ${plural(reconnects, "reconnect")}`;
  return { text, tone: state === "connected" ? "plain" : "bad" };
}

function spoolCell({ spool }: Health): Cell {
  const oldest = spool.depth === 0 ? "" : `, oldest ${duration(spool.oldest_age)}`;
  const lost = [
    ...(spool.rejected > 0 ? [`${spool.rejected} rejected`] : []),
    ...(spool.gaps > 0 ? [plural(spool.gaps, "gap")] : []),
    ...(spool.dead_letters > 0 ? [plural(spool.dead_letters, "dead letter")] : []),
  ];
  const text = [`${plural(spool.depth, "event")}, ${bytes(spool.bytes)}${oldest}`, ...lost].join(", ");
  return { text, tone: lost.length > 0 ? "warning" : "plain" };
}

function sandboxCell(sandbox: Info["sandbox"]): Cell {
  if (sandbox.reason !== undefined) return { text: `commands are refused: ${sandbox.reason}`, tone: "bad" };
  if (!sandbox.mode) return { text: "off", tone: "warning" };
  const { network = "host", agent_network: agents = "host" } = sandbox;
  const networks = network === "host" && agents === "host" ? "" : `; network ${network}, of agents ${agents}`;
  return sandbox.enforced.length === 0 ? `on${networks}` : `on: ${sandbox.enforced.join(", ")}${networks}`;
}
