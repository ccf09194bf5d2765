import type { Approval } from "@hl/protocol/methods/approval-list.ts";
import { escapeLine, escapeText } from "./escape.ts";

/** What is shown of an input; the rest is counted. */
const shownCharactersMax = 16_384;

type Asked = Pick<Approval, "input">;

/** One line that tells what the tool would do, as far as its input is of a kind that we know. */
export function gistOf({ input }: Asked): string {
  const telling = [input["command"], input["file_path"], input["notebook_path"], input["url"], input["path"]];
  const found = telling.find((value) => typeof value === "string");
  return typeof found === "string" ? found : JSON.stringify(input);
}

/** The whole input for somebody who has to judge it, a line or more for each member; nothing in it is obeyed by a terminal. */
export function inputLines({ input }: Asked): string[] {
  const lines = Object.entries(input).flatMap(([name, value]) => {
    const text = typeof value === "string" ? value : JSON.stringify(value, null, 2);
    const [first = "", ...rest] = escapeText(text).split("\n");
    const label = `  ${escapeLine(name)}: `;
    return [`${label}${first}`, ...rest.map((line) => `    ${line}`)];
  });
  const shown: string[] = [];
  let characters = 0;
  for (const [index, line] of lines.entries()) {
    const room = shownCharactersMax - characters;
    characters += line.length;
    shown.push(line.slice(0, Math.max(0, room)));
    if (line.length <= room) continue;
    const left = lines.slice(index + 1).reduce((sum, { length }) => sum + length, line.length - Math.max(0, room));
    shown.push(`  … ${left} more characters are not shown: \`hl-client approvals list --json\` has all of it`);
    break;
  }
  return shown;
}
