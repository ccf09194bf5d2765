/** Inputs made of inputs: what changes is random, and the same seed makes the same. */

/** Mulberry32: small, and good enough to choose bytes. */
export function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const bytesMax = 8_192;
/** Where parsers of text and of lengths go wrong. */
const odd = [
  ..."\0 \n \r\n \" \\ / { } [ ] : , ' ` $ % # @ ~ * ? . .. -0 1e999 NaN null true \u00e9 \ud83d\ude00".split(" "),
  ...["\u2028", "\ufeff", "\\u0000", "\\ud800", "__proto__", "constructor", "toString", "../../../etc/passwd"],
].map((text) => Buffer.from(text));
const bytes = [
  [0xff],
  [0xc3],
  [0xed, 0xa0, 0x80],
  [0xff, 0xff, 0xff, 0xff],
  [0, 0, 0, 0x80],
  [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f],
].map((values) => Buffer.from(values));

/** @param words what the format itself is made of */
export function mutate(input: Buffer, other: Buffer, words: readonly Buffer[], random: () => number): Buffer {
  const below = (end: number): number => Math.floor(random() * end);
  const oneOf = (all: readonly Buffer[]): Buffer => all[below(all.length)] ?? Buffer.alloc(0);
  const splice = (into: Buffer, at: number, cut: number, piece: Buffer): Buffer =>
    Buffer.concat([into.subarray(0, at), piece, into.subarray(Math.min(into.length, at + cut))]);
  let changed: Buffer = Buffer.from(input);
  for (let changes = 1 + below(4); changes > 0; changes -= 1) {
    const at = below(changed.length + 1);
    switch (below(9)) {
      case 0:
        if (at < changed.length) changed[at] = (changed[at] ?? 0) ^ (1 << below(8));
        break;
      case 1:
        changed = splice(changed, at, 1, Buffer.from([below(256)]));
        break;
      case 2:
        changed = splice(changed, at, 1 + below(16), Buffer.alloc(0));
        break;
      case 3:
        changed = splice(changed, at, below(4), oneOf(odd));
        break;
      case 4:
        changed = splice(changed, at, below(4), oneOf(bytes));
        break;
      case 5:
        changed = splice(changed, at, below(8), oneOf(words));
        break;
      case 6: {
        const from = below(changed.length);
        const piece = Buffer.from(changed.subarray(from, from + 1 + below(64)));
        changed = splice(changed, at, 0, Buffer.concat(Array<Buffer>(1 + below(8)).fill(piece)));
        break;
      }
      case 7:
        changed = splice(changed, at, changed.length, other.subarray(below(other.length + 1)));
        break;
      default:
        changed = changed.subarray(0, at);
    }
  }
  return changed.subarray(0, bytesMax);
}
