import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { diffLines, paintedDiff } from "./edit-diff.ts";
import { escapeLine, escapeText } from "./escape.ts";
import type { Paint } from "./paint.ts";

/** What is shown of an input; the rest is counted. */
const shownCharactersMax = 16_384;

type Asked = Pick<Approval, "input" | "tool_name">;

const unpainted: Paint = (_tone, text) => text;

/** One line that tells what the tool would do, as far as its input is of a kind that we know. */
export function gistOf({ input }: Pick<Asked, "input">): string {
  const telling = ["command", "file_path", "notebook_path", "url", "path", "pattern", "query", "description"];
  const found = telling.map((name) => input[name]).find((value) => typeof value === "string");
  return typeof found === "string" ? found : JSON.stringify(input);
}

/**
 * The whole input for somebody who has to judge it, a line or more for each member, an edit as what goes and what comes; nothing in it is
 * obeyed by a terminal.
 */
export function inputLines({ tool_name, input }: Asked, paint: Paint = unpainted): string[] {
  const lines: { readonly text: string; readonly shown?: string }[] = [];
  const { old_string: before, new_string: after, ...others } = input;
  // Of another tool nobody knows what the members mean: they are shown in full.
  const isEdit = tool_name === "Edit" && typeof before === "string" && typeof after === "string";
  for (const [name, value] of Object.entries(isEdit ? others : input)) {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    const [first = "", ...rest] = escapeText(text).split("\n");
    lines.push({ text: `  ${escapeLine(name)}: ${first}` }, ...rest.map((line) => ({ text: `    ${line}` })));
  }
  if (isEdit) {
    const changed = diffLines(before, after).map((line) => ({
      text: `    ${line}`,
      shown: `    ${paintedDiff(line, paint)}`,
    }));
    lines.push({ text: "  changes:" }, ...changed);
  }
  return cut(lines);
}

function cut(lines: readonly { readonly text: string; readonly shown?: string }[]): string[] {
  const shown: string[] = [];
  let characters = 0;
  for (const [index, line] of lines.entries()) {
    const room = shownCharactersMax - characters;
    characters += line.text.length;
    if (line.text.length <= room) {
      shown.push(line.shown ?? line.text);
      continue;
    }
    shown.push(line.text.slice(0, Math.max(0, room)));
    const left = lines
      .slice(index + 1)
      .reduce((sum, { text }) => sum + text.length, line.text.length - Math.max(0, room));
    shown.push(`  … ${left} more characters are not shown: \`hl-client approvals list --json\` has all of it`);
    break;
  }
  return shown;
}
