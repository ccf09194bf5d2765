import type { InputOf, ResultOf } from "@hl/protocol/method.ts";
import type { systemConfigUpdate } from "@hl/protocol/methods/system-config-update.ts";
import { InvalidArgumentError, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { changeRow, keyOf } from "../render/config.ts";
import { escapeText } from "../render/escape.ts";
import type { Session } from "../session.ts";

type Update = InputOf<typeof systemConfigUpdate>;

const options = z.object({ dryRun: z.boolean().optional() });

export function addConfigSet(parent: Command, cli: Cli): void {
  verb(parent, "set", "change settings of the running daemon, kept over restarts; all of them or none")
    .argument(
      "<key=value...>",
      "values are JSON, or text as it is: logging.level=debug allowed_commands='[\"ls\"]'",
      assignment,
    )
    .option("--dry-run", "only judge, and show what would change")
    .action((assignments: readonly Assignment[], _options, command: Command) =>
      cli.run(command, (session) => {
        const { dryRun } = options.parse(command.opts());
        return update(session, { config_section: "", config_data: nested(assignments), dry_run: dryRun });
      }),
    );
}

export function addConfigUnset(parent: Command, cli: Cli): void {
  verb(parent, "unset", "give keys or sections back to the configuration files")
    .argument("<key...>", "as process_management.max_processes, or a section")
    .option("--dry-run", "only show what would change")
    .action((keys: string[], _options, command: Command) =>
      cli.run(command, (session) => {
        const { dryRun } = options.parse(command.opts());
        return update(session, { config_section: "", reset: keys, dry_run: dryRun });
      }),
    );
}

interface Assignment {
  readonly path: readonly string[];
  readonly value: unknown;
}

function assignment(text: string, before: readonly Assignment[] | undefined): Assignment[] {
  const at = text.indexOf("=");
  if (at < 1) throw new InvalidArgumentError("It must be KEY=VALUE, such as logging.level=debug.");
  const path = text.slice(0, at).split(".");
  return [...(before ?? []), { path, value: valueOf(text.slice(at + 1)) }];
}

function valueOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** One tree of all, so that the daemon judges them together. */
function nested(assignments: readonly Assignment[]): object {
  const tree = emptyObject();
  for (const { path, value } of assignments) {
    let parent = tree;
    for (const name of path.slice(0, -1)) {
      const inner = parent[name];
      const next = isObject(inner) ? inner : emptyObject();
      parent[name] = next;
      parent = next;
    }
    parent[path.at(-1) ?? ""] = value;
  }
  return tree;
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null;
}

/** Without a prototype, so that every name is only a name. */
function emptyObject(): Record<string, unknown> {
  return Object.create(null) as Record<string, unknown>;
}

async function update(session: Session, params: Update): Promise<number> {
  using connection = await session.connect();
  const result = await connection.call("system/config/update", params);
  if (session.json) session.printJson(result);
  else print(session, result);
  return exitCode.ok;
}

function print(session: Session, { changes, overruled, dry_run }: ResultOf<typeof systemConfigUpdate>): void {
  for (const change of changes)
    session.out.line(
      escapeText(`${changeRow(change).join(" ")} (${change.reload === "live" ? "at once" : "at the next start"})`),
    );
  if (changes.length === 0) session.out.line("nothing changes");
  for (const { pointer, variable } of overruled)
    session.notice(`${keyOf(pointer)} is set, but ${variable} in the daemon's environment is stronger`);
  if (dry_run === true) session.notice("nothing was changed: a dry run");
}
