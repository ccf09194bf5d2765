import type { Size } from "../follow/local-terminal.ts";
import type { Paint } from "../render/paint.ts";
import { fit } from "../render/width.ts";
import { lineOf, type Piece } from "./cells.ts";
import {
  agentLines,
  commandLine,
  commandLines,
  findingLines,
  resourceLines,
  statusLine,
  type Ground,
} from "./sections.ts";
import { sortOrders, type ViewState } from "./view.ts";

/** Lines of the head of the list of commands: a line about all, and the titles. */
const listHead = 2;
/** At least so many lines are the commands', as far as the terminal has them. */
const commandRowsMin = 5;

const help: readonly string[] = [
  "  up down, j k       choose a command; page up, page down, home, end too",
  "  c                  cancel it with its whole process tree, after a question",
  `  s                  sort what runs by ${sortOrders.join(", ")}, in turn`,
  "  ?                  this page; any key leaves it",
  "  q, Ctrl-C          leave",
  "",
  "  CPU % is of one processor, since the sample before. MEMORY is what the kernel could take back only by swapping.",
  "  A command that is `lingering` has ended and left something running, which cancelling ends.",
  "  ASKS are permission requests that wait: hl-client approvals watch. What to do about findings: hl-client doctor.",
];

/** Of the question, so that it is seen whatever somebody has called a command. */
const idWidthMax = 20;

/** What the terminal shows: exactly as many lines as it has, none wider than it is. */
export function frameOf(state: ViewState, { rows, columns }: Size, paint: Paint): string[] {
  const ground: Ground = { width: columns, paint };
  const bottom = lineOf(bottomOf(state), columns, paint);
  // What is asked is seen before all else.
  const isAsked = state.mode === "confirm" || state.message !== undefined;
  if (rows === 1) return [isAsked ? bottom : topOf(state, ground)];
  const lines = [topOf(state, ground), ...middleOf(state, rows - 2, ground)].slice(0, rows - 1);
  const empty = Array<string>(rows - 1 - lines.length).fill("");
  return [...lines, ...empty, bottom];
}

function topOf({ sample, disconnected }: ViewState, ground: Ground): string {
  if (sample !== undefined) return statusLine(sample, disconnected, ground);
  return lineOf(
    [disconnected === undefined ? "connecting …" : `disconnected, connecting again: ${disconnected}`],
    ground.width,
    ground.paint,
  );
}

function middleOf(state: ViewState, rows: number, ground: Ground): string[] {
  const { sample, loads } = state;
  if (state.mode === "help") return ["", ...help.map((line) => lineOf([line], ground.width, ground.paint))];
  if (sample === undefined) return [];
  const keptFree = Math.min(rows, listHead + commandRowsMin);
  const head = shortened(
    [...resourceLines(sample, loads, ground), ...findingLines(sample, ground)],
    rows - keptFree,
    ground,
  );
  const agents = shortened(agentLines(sample, ground), rows - keptFree - head.length, ground);
  const table = { ...state, sort: state.sort };
  const commands = commandLines(sample, table, ground);
  return [...head, ...agents, ...scrolled(commands, rows - head.length - agents.length, state)];
}

/** What has no room is counted. */
function shortened(lines: readonly string[], rows: number, { width, paint }: Ground): readonly string[] {
  if (lines.length <= rows) return lines;
  if (rows <= 0) return [];
  const left = lines.length - (rows - 1);
  return [...lines.slice(0, rows - 1), lineOf([{ text: `  … ${left} more`, tone: "faint" }], width, paint)];
}

/** The part of the list in which the chosen command is. */
function scrolled(lines: readonly string[], rows: number, { commands, selectedId }: ViewState): readonly string[] {
  const list = lines.slice(listHead);
  const place = commands.findIndex(({ command_id: id }) => id === selectedId);
  const room = Math.max(0, rows - listHead);
  const from = Math.max(0, Math.min(place - room + 1, list.length - room));
  return [...lines.slice(0, Math.min(listHead, rows)), ...list.slice(from, from + room)];
}

function bottomOf({ mode, asked, message }: ViewState): Piece[] {
  if (mode === "confirm" && asked !== undefined) {
    const question = `cancel ${fit(asked.command_id, idWidthMax)}? y cancels it, any other key does not  `;
    return [{ text: question, tone: "warning" }, commandLine(asked)];
  }
  if (message !== undefined) return [message];
  return [{ text: "q quit  up/down choose  c cancel  s sort  ? help", tone: "faint" }];
}
