import { escapeLine } from "../render/escape.ts";
import type { Paint, Tone } from "../render/paint.ts";
import { displayWidth, fit, padEnd, padStart } from "../render/width.ts";

/** A part of a line; whatever its text, a terminal does not obey it. */
export type Piece = string | Readonly<{ text: string; tone: Tone }>;

/** A column of a table that is no wider than the terminal. The last one takes what is left. */
export interface FittedColumn {
  readonly title: string;
  /** What is longer is cut. */
  readonly widthMax: number;
  readonly align?: "right" | undefined;
  /** The highest goes first where the terminal is narrow; 0 never goes. */
  readonly expendable: number;
}

const gap = 2;
/** Narrower than this, the last column has other columns go for it. */
const lastWidthMin = 16;

/** One line of pieces, cut to a width. */
export function lineOf(pieces: readonly Piece[], width: number, paint: Paint): string {
  let left = width;
  let line = "";
  for (const piece of pieces) {
    if (left <= 0) break;
    const { text, tone } = shown(piece);
    const kept = cut(text, left);
    left -= displayWidth(kept);
    line += paint(tone, kept);
  }
  return line;
}

export interface Row {
  readonly cells: readonly Piece[];
  /** Shown as chosen: by a mark, which needs no colour. */
  readonly isSelected?: boolean | undefined;
}

/** Title and rows, each within the width. Cells are escaped here, so that no caller can forget it. */
export function tableLines(
  columns: readonly FittedColumn[],
  rows: readonly Row[],
  width: number,
  paint: Paint,
): string[] {
  const titles: Row = { cells: columns.map(({ title }): Piece => ({ text: title, tone: "faint" })) };
  const all = [titles, ...rows].map(({ cells, isSelected = false }) => ({ cells: cells.map(shown), isSelected }));
  const needed = columns.map(({ widthMax }, at) =>
    Math.min(widthMax, Math.max(...all.map(({ cells }) => displayWidth(cells[at]?.text ?? "")))),
  );
  const kept = keptColumns(columns, needed, width);
  return all.map(({ cells, isSelected }) => {
    const pieces = kept.flatMap((at, place): Piece[] => {
      const { text, tone } = cells[at] ?? { text: "", tone: "plain" };
      if (place === kept.length - 1) return [{ text, tone }];
      const within = cut(text, needed[at] ?? 0);
      const padded = (columns[at]?.align === "right" ? padStart : padEnd)(within, needed[at] ?? 0);
      return [{ text: padded, tone }, " ".repeat(gap)];
    });
    return lineOf([isSelected ? { text: "> ", tone: "strong" } : "  ", ...pieces], width, paint);
  });
}

/** Indexes of the columns for which there is room. */
function keptColumns(columns: readonly FittedColumn[], needed: readonly number[], width: number): number[] {
  let kept = columns.map((_, at) => at);
  const last = columns.length - 1;
  for (;;) {
    const taken = kept.reduce((sum, at) => (at === last ? sum : sum + (needed[at] ?? 0) + gap), gap);
    const goes = Math.max(...kept.map((at) => columns[at]?.expendable ?? 0));
    if (width - taken >= lastWidthMin || goes === 0) return kept;
    kept = kept.filter((at) => columns[at]?.expendable !== goes);
  }
}

/** Unlike `fit` it keeps to a width of nothing too. */
function cut(text: string, width: number): string {
  return width <= 0 ? "" : fit(text, width);
}

function shown(piece: Piece): { readonly text: string; readonly tone: Tone } {
  if (typeof piece === "string") return { text: escapeLine(piece), tone: "plain" };
  return { text: escapeLine(piece.text), tone: piece.tone };
}
