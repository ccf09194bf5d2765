import type { ListedFile } from "@hl/protocol/methods/file-list.ts";

const letterByType: Readonly<Record<ListedFile["type"], string>> = {
  file: "-",
  directory: "d",
  symlink: "l",
  other: "?",
};

/** `drwxr-xr-x`, as ls has it; the bits above are shown as a number in front. */
export function modeText({ type, mode }: Pick<ListedFile, "type" | "mode">): string {
  const letters = [6, 3, 0].map((shift) =>
    ["r", "w", "x"].map((letter, index) => (((mode >> shift) & (4 >> index)) === 0 ? "-" : letter)).join(""),
  );
  const special = mode >> 9;
  return `${letterByType[type]}${letters.join("")}${special === 0 ? "" : ` ${special}`}`;
}
