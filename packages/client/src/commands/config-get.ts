import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { changeRow, flatKeys, keyOf, valueText } from "../render/config.ts";
import type { Session } from "../session.ts";

export function addConfigGet(parent: Command, cli: Cli): void {
  verb(parent, "get", "the settings in force and where each comes from, secrets masked")
    .argument("[section]", "a section or key, as process_management or logging.level; all without it")
    .action((section: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => get(session, section)),
    );
}

async function get(session: Session, section: string | undefined): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("system/config/get", section === undefined ? {} : { config_section: section });
  if (session.json) {
    session.printJson(result);
    return exitCode.ok;
  }
  const sources = new Map(Object.entries(result.sources).map(([pointer, source]) => [keyOf(pointer), source]));
  const columns = [{ title: "KEY" }, { title: "FROM" }, { title: "VALUE" }] as const;
  const rows = flatKeys(result.config, section === undefined ? [] : section.split(".")).map(([key, value]) => [
    key,
    sourceOf(key, sources),
    valueText(value),
  ]);
  session.printTable(columns, rows);
  for (const change of result.waiting ?? []) session.notice(`waits for the next start: ${changeRow(change).join(" ")}`);
  for (const problem of result.rejected ?? []) session.notice(`does not hold: ${problem}`);
  return exitCode.ok;
}

/** A name in a map is not a key of its own: its source is that of the map. */
function sourceOf(key: string, sources: ReadonlyMap<string, string>): string {
  for (let at = key; at !== ""; at = at.slice(0, Math.max(0, at.lastIndexOf("."))))
    if (sources.has(at)) return sources.get(at) ?? "";
  return "default";
}
