import { escapeLine } from "./escape.ts";
import type { Paint, Tone } from "./paint.ts";
import { displayWidth, fit, padEnd, padStart } from "./width.ts";

export type Cell = string | Readonly<{ text: string; tone: Tone }>;

export interface Column {
  readonly title: string;
  readonly align?: "left" | "right" | undefined;
}

const gap = "  ";
/** A last column is never cut below this, however narrow the terminal. */
const lastColumnMin = 10;

/** Lines of aligned columns. Cells are escaped here, so that no caller can forget it. */
export function renderTable(
  columns: readonly Column[],
  rows: readonly (readonly Cell[])[],
  paint: Paint,
  terminalColumns: number | undefined,
): string[] {
  const titles = columns.map((column): Cell => ({ text: column.title, tone: "faint" }));
  const lines = [titles, ...rows].map((row) => row.map(toCell));
  const widths = columns.map((_, index) => Math.max(...lines.map((row) => displayWidth(row[index]?.text ?? ""))));
  const last = columns.length - 1;
  const before = widths.slice(0, last).reduce((sum, width) => sum + width + gap.length, 0);
  const lastMax = terminalColumns === undefined ? Infinity : Math.max(lastColumnMin, terminalColumns - before);
  return lines.map((row) =>
    row
      .map(({ text, tone }, index) => {
        const width = widths[index] ?? 0;
        if (index === last) return paint(tone, fit(text, lastMax));
        return columns[index]?.align === "right"
          ? paint(tone, padStart(text, width))
          : padEndPainted(paint, tone, text, width);
      })
      .join(gap)
      .trimEnd(),
  );
}

/** `name  value` lines, for facts about one thing. */
export function renderFacts(facts: readonly (readonly [string, Cell])[], paint: Paint): string[] {
  const width = Math.max(0, ...facts.map(([name]) => displayWidth(name)));
  return facts.map(([name, value]) => {
    const { text, tone } = toCell(value);
    return `  ${paint("faint", padEnd(name, width))}${gap}${paint(tone, text)}`;
  });
}

function toCell(cell: Cell): { text: string; tone: Tone } {
  if (typeof cell === "string") return { text: escapeLine(cell), tone: "plain" };
  return { text: escapeLine(cell.text), tone: cell.tone };
}

function padEndPainted(paint: Paint, tone: Tone, text: string, width: number): string {
  return paint(tone, text) + padEnd(text, width).slice(text.length);
}
