/**
 * What a person reads on a terminal after a program has written to it: lines, without colours. It knows what line editors use (moving
 * within the line, clearing behind the cursor) and leaves out every other sequence; lines do not wrap.
 */
export function screenText(written: string): string {
  const lines: string[][] = [[]];
  let column = 0;
  for (const [piece, count, letter] of written.matchAll(
    /\u001b\[\??([\d;]*)([A-Za-z])|\u001b\][^\u0007]*\u0007|[^]/gu,
  )) {
    const line = lines.at(-1) ?? [];
    if (letter === "G") column = Math.max(0, Number(count === "" ? 1 : count) - 1);
    else if ((letter === "J" || letter === "K") && (count === "" || count === "0"))
      line.length = Math.min(line.length, column);
    else if (letter === "C") column += Number(count === "" ? 1 : count);
    else if (letter === "D") column = Math.max(0, column - Number(count === "" ? 1 : count));
    else if (piece === "\r") column = 0;
    else if (piece === "\n") {
      lines.push([]);
      column = 0;
    } else if (piece.length <= 2 && !piece.startsWith("\u001b")) {
      while (line.length < column) line.push(" ");
      line[column] = piece;
      column += 1;
    }
  }
  return lines.map((line) => line.join("").trimEnd()).join("\n");
}
