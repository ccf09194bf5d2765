/** Keys that mean something here; every other one is itself if it can be printed, or nothing. */
const sequences: Readonly<Record<string, string>> = {
  "\u001b[A": "up",
  "\u001bOA": "up",
  "\u001b[B": "down",
  "\u001bOB": "down",
  "\u001b[5~": "page-up",
  "\u001b[6~": "page-down",
  "\u001b[H": "home",
  "\u001bOH": "home",
  "\u001b[1~": "home",
  "\u001b[F": "end",
  "\u001bOF": "end",
  "\u001b[4~": "end",
  "\u0003": "interrupt",
  "\u000c": "redraw",
  "\u001b": "escape",
  "\r": "enter",
  "\n": "enter",
};

/** A sequence of the terminal, or one character. What is pasted stands between `200~` and `201~`, which mean nothing. */
const piece = /\u001b\[[0-9;?<=>]*[ -/]*[@-~]|\u001bO[A-Za-z]|[^]/gu;

/** The keys in what a terminal has sent at once. Bytes of a character that was cut are no key. */
export function keysIn(data: Uint8Array): string[] {
  const text = Buffer.from(data).toString("utf8");
  return [...text.matchAll(piece)].flatMap(([typed]) => sequences[typed] ?? (/^[!-~]$/.test(typed) ? typed : []));
}
