/** The parts of the view as lines, each within the width, for a screen and for a snapshot alike. */
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { Paint, Tone } from "../render/paint.ts";
import { ago, bytes, duration, plural } from "../render/quantity.ts";
import { lineOf, tableLines, type FittedColumn, type Piece, type Row } from "./cells.ts";
import type { Loads } from "./loads.ts";
import { isLive, type Health, type Listed, type Sample } from "./sample.ts";

export interface Ground {
  /** Columns; Infinity where the output is no terminal. */
  readonly width: number;
  readonly paint: Paint;
}

const toneByStatus = { healthy: "good", degraded: "warning", unhealthy: "bad" } as const;
const toneBySeverity = { info: "plain", warning: "warning", critical: "bad" } as const;

/** What it is and how it is. */
export function statusLine(sample: Sample, disconnected: string | undefined, { width, paint }: Ground): string {
  const { info, health } = sample;
  const name: Piece[] = [
    { text: `hl-daemon ${info?.version ?? ""}`, tone: "strong" },
    `  ${info?.instance_id ?? ""}  `,
  ];
  if (disconnected !== undefined)
    return lineOf([...name, { text: `disconnected, connecting again: ${disconnected}`, tone: "bad" }], width, paint);
  if (health === undefined) return lineOf(name, width, paint);
  const { status, uptime, service_status: services, cloud, timestamp } = health;
  const contact = cloud.last_contact === null ? "" : `, last contact ${ago(timestamp - cloud.last_contact)}`;
  const isUp = services.api_connection === "connected";
  const link: Piece = !cloud.configured
    ? "no cloud"
    : { text: `cloud ${services.api_connection}${isUp ? "" : contact}`, tone: isUp ? "plain" : "bad" };
  return lineOf(
    [...name, { text: status, tone: toneByStatus[status] }, `  up ${duration(uptime)}  `, link],
    width,
    paint,
  );
}

/** Resources, the daemon's own share, and the spool. */
export function resourceLines(sample: Sample, loads: Loads, { width, paint }: Ground): string[] {
  const { health, info, refused } = sample;
  if (health === undefined) return [lineOf(missing("health", refused.health), width, paint)];
  const { system_metrics: system, process } = health;
  const machine = [
    `cpu ${system.cpu_usage.toFixed(1)} %`,
    `load ${system.load_average.map((load) => load.toFixed(2)).join(" ")}`,
    `disk ${system.disk_usage.toFixed(1)} %`,
    `memory ${usedOf(system.memory_usage, info?.system.memory)}`,
  ];
  const own = [
    ...(loads.daemon === undefined ? [] : [`cpu ${loads.daemon.toFixed(1)} %`]),
    `${process.memory_rss_mb.toFixed(1)} MB resident`,
    `loop ${process.loop_delay_ms.toFixed(1)} ms`,
    ...(process.open_fds === undefined ? [] : [plural(process.open_fds, "descriptor")]),
  ];
  return [
    lineOf(["  ", label("machine"), machine.join("  ")], width, paint),
    lineOf(["  ", label("daemon"), own.join("  ")], width, paint),
    ...spoolLines(health, width, paint),
  ];
}

function spoolLines({ spool }: Health, width: number, paint: Paint): string[] {
  const oldest = spool.depth === 0 ? "" : `, oldest ${duration(spool.oldest_age)}`;
  const lost = [
    ...(spool.rejected > 0 ? [`${spool.rejected} rejected`] : []),
    ...(spool.gaps > 0 ? [plural(spool.gaps, "gap")] : []),
    ...(spool.dead_letters > 0 ? [plural(spool.dead_letters, "dead letter")] : []),
  ];
  const all = `${plural(spool.depth, "event")} unacknowledged, ${bytes(spool.bytes)}${oldest}`;
  const lanes = (spool.lanes ?? []).map(({ lane, depth, bytes: size, oldest_age: age }) =>
    depth === 0 ? `${lane} 0` : `${lane} ${depth} (${bytes(size)}, ${duration(age)})`,
  );
  return [
    lineOf(
      ["  ", label("spool"), all, { text: lost.map((word) => `, ${word}`).join(""), tone: "warning" }],
      width,
      paint,
    ),
    ...(lanes.length === 0 ? [] : [lineOf(["  ", label("lanes"), lanes.join("  ")], width, paint)]),
  ];
}

/** One line each: what is wrong; `hl-client doctor` has what to do. */
export function findingLines({ health }: Sample, { width, paint }: Ground): string[] {
  return (health?.alerts ?? []).map(({ severity, code, title, text }) =>
    lineOf(["  ", { text: severity, tone: toneBySeverity[severity] }, ` ${code}: ${title}: ${text}`], width, paint),
  );
}

const agentColumns: readonly FittedColumn[] = [
  { title: "AGENT", widthMax: 20, expendable: 0 },
  { title: "PROTOCOL", widthMax: 12, expendable: 3 },
  { title: "STATE", widthMax: 15, expendable: 0 },
  { title: "TURNS", widthMax: 7, align: "right", expendable: 2 },
  { title: "COST", widthMax: 9, align: "right", expendable: 2 },
  { title: "ASKS", widthMax: 5, align: "right", expendable: 0 },
  { title: "MEMORY", widthMax: 8, align: "right", expendable: 4 },
  { title: "WORKSPACE", widthMax: 200, expendable: 0 },
];

const toneByState: Readonly<Record<ClaudeProcess["status"], Tone>> = {
  ...{ starting: "plain", idle: "plain", running: "good", requires_action: "warning" },
  ...{ restarting: "warning", stopping: "plain", ended: "faint" },
};

/** Those that have not ended, under a line of their own. */
export function agentLines({ agents, refused }: Sample, { width, paint }: Ground): string[] {
  if (agents === undefined) return [lineOf(missing("agents", refused.agents), width, paint)];
  const live = agents.filter(({ status }) => status !== "ended");
  const head = lineOf([{ text: "agents", tone: "strong" }, `  ${live.length} running`], width, paint);
  if (live.length === 0) return [head];
  const rows = live.map(({ process_id, protocol, status, turns, usage, approvals_open: asks = 0, ...agent }): Row => ({
    cells: [
      process_id,
      protocol,
      { text: status, tone: toneByState[status] },
      String(turns),
      usage === undefined ? "" : `$${usage.cost_usd.toFixed(2)}`,
      { text: String(asks), tone: asks > 0 ? "warning" : "plain" },
      agent.memory_mb === undefined ? "" : `${agent.memory_mb} MB`,
      agent.workspace_path,
    ],
  }));
  return [head, ...tableLines(agentColumns, rows, width, paint)];
}

const commandColumns: readonly FittedColumn[] = [
  { title: "ID", widthMax: 13, expendable: 0 },
  { title: "STATE", widthMax: 11, expendable: 0 },
  { title: "PID", widthMax: 10, align: "right", expendable: 3 },
  { title: "USER", widthMax: 12, expendable: 4 },
  { title: "TIME", widthMax: 10, align: "right", expendable: 1 },
  { title: "CPU %", widthMax: 6, align: "right", expendable: 0 },
  { title: "MEMORY", widthMax: 9, align: "right", expendable: 2 },
  { title: "COMMAND", widthMax: 2_000, expendable: 0 },
];

export interface CommandTable {
  readonly commands: readonly Listed[];
  readonly loads: Loads;
  readonly selectedId: string | undefined;
  readonly sort: string | undefined;
}

/** A line about all of them, the titles, and a line for each. */
export function commandLines(sample: Sample, table: CommandTable, { width, paint }: Ground): string[] {
  const { health, refused } = sample;
  if (sample.commands === undefined) return [lineOf(missing("commands", refused.commands), width, paint)];
  const { commands, loads, selectedId, sort } = table;
  const live = commands.filter(isLive).length;
  const running = health?.commands.running ?? live;
  const finished = health === undefined ? "" : `, ${health.commands.finished} finished`;
  const more = running > live ? `, the newest ${live} shown` : "";
  const order = sort === undefined ? "" : `  by ${sort}`;
  const head = lineOf(
    [{ text: "commands", tone: "strong" }, `  ${running} running${finished}${more}${order}`],
    width,
    paint,
  );
  if (commands.length === 0) return [head];
  const now = health?.timestamp;
  const rows = commands.map((command): Row => ({
    cells: commandCells(command, loads, now),
    isSelected: command.command_id === selectedId,
  }));
  return [head, ...tableLines(commandColumns, rows, width, paint)];
}

function commandCells(command: Listed, loads: Loads, now: number | undefined): Piece[] {
  const { started_at: started, ended_at: ended, usage, process_id: pid, user = "" } = command;
  const load = loads.commands.get(command.command_id);
  const until = isLive(command) ? now : ended;
  return [
    command.command_id,
    stateOf(command),
    pid === 0 ? "" : String(pid),
    user,
    until === undefined ? "" : stopwatch(until - started),
    load === undefined ? "" : load.toFixed(1),
    usage?.memory_mb === undefined ? "" : `${usage.memory_mb.toFixed(1)} MB`,
    commandLine(command),
  ];
}

function stateOf({ status, reason, lingering }: Listed): Piece {
  if (lingering === true) return { text: "lingering", tone: "warning" };
  if (status === "started") return { text: "running", tone: "good" };
  const plainEnd = reason === undefined || reason === "exited";
  return { text: plainEnd ? status : reason, tone: status === "completed" ? "faint" : "bad" };
}

export function commandLine({ command, args, args_truncated: isCut = false }: Listed): string {
  return `${[command, ...args].join(" ")}${isCut ? "…" : ""}`;
}

/** `4:05`, `1:04:05`, `2d 03:04`. */
export function stopwatch(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value: number): string => String(value).padStart(2, "0");
  const [days, hours, minutes] = [Math.floor(whole / 86_400), Math.floor(whole / 3_600), Math.floor(whole / 60)];
  if (days > 0) return `${days}d ${two(hours % 24)}:${two(minutes % 60)}`;
  return hours > 0 ? `${hours}:${two(minutes % 60)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

/** `3.7 of 23.5 GiB`, of MB. */
function usedOf(usedMb: number, totalMb: number | undefined): string {
  const used = bytes(usedMb * 2 ** 20);
  if (totalMb === undefined) return used;
  const total = bytes(totalMb * 2 ** 20);
  const [amount = "", unit] = used.split(" ");
  return `${total.endsWith(` ${unit ?? ""}`) ? amount : used} of ${total}`;
}

function label(name: string): Piece {
  return { text: name.padEnd(8), tone: "faint" };
}

function missing(what: string, why: string | undefined): Piece[] {
  return [{ text: what, tone: "strong" }, "  ", { text: `not shown: ${why ?? "not known yet"}`, tone: "warning" }];
}
