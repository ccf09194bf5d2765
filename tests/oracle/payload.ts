/**
 * The oracle's events. Everything in one is a pure function of its id, so what the cloud shows can be judged without remembering what
 * was sent: a changed byte is seen, and an id that was never issued too.
 */
import { Random } from "./random.ts";

/** `event_streaming.max_event_bytes` of the run: an event's JSON, as the daemon measures it. */
export const eventBytesMax = 256 * 1024;

/** What the uplink puts into one batch at most. */
export const batchBytesMax = 1024 * 1024;

export interface OracleEvent {
  readonly event_id: string;
  readonly event_type: "oracle.event";
  readonly timestamp: number;
  readonly data: { readonly text: string };
  readonly severity: "info";
}

/** One more than its limit: it has to be refused. */
const overByOne = eventBytesMax + 1;

/** Sizes of the whole event around its limit, and how often of a hundred. */
const wholeSizes: readonly [share: number, bytes: number][] = [
  [1, eventBytesMax - 1],
  [1, eventBytesMax],
  [1, overByOne],
];

/** Sizes of the text alone: nothing, the smallest, and around the size from which bodies are compressed. */
const textSizes: readonly number[] = [0, 1, 1023, 1024, 1025];

/** The nth event of the seed. */
export function eventId(seed: string, number: number): string {
  return `${seed}:${number}`;
}

/** The number in an id of `eventId` or `batchIds`; undefined for any other. */
export function numberOf(seed: string, id: string): number | undefined {
  if (!id.startsWith(`${seed}:`)) return undefined;
  const digits = /^\d+/.exec(id.slice(seed.length + 1))?.[0];
  return digits === undefined ? undefined : Number(digits);
}

/** Ids whose events together have `batchBytesMax + delta` bytes, so that the end of a batch falls right there. */
export function batchIds(seed: string, number: number, delta: number): string[] {
  return Array.from({ length: batchParts }, (_, part) => `${seed}:${number}:sum${delta}:${part}`);
}

const batchParts = 5;

export function eventOf(id: string): OracleEvent {
  const random = new Random(id);
  const timestamp = 1_700_000_000 + random.between(0, 99_999_999) / 1_000;
  const withText = (text: string): OracleEvent => ({
    event_id: id,
    event_type: "oracle.event",
    timestamp,
    data: { text },
    severity: "info",
  });
  const frame = Buffer.byteLength(JSON.stringify(withText("")));
  return withText(textOf(random, sizeOf(id, random, frame)));
}

export function bytesOf(event: OracleEvent): number {
  return Buffer.byteLength(JSON.stringify(event));
}

/** Bytes that the text takes as JSON. */
function sizeOf(id: string, random: Random, frame: number): number {
  const [, delta, part] = /:sum(-?\d+):(\d+)$/.exec(id) ?? [];
  if (delta !== undefined) {
    // Three of the largest, and two that share what is left.
    if (Number(part) < 3) return eventBytesMax - frame;
    const half = eventBytesMax / 2 - frame;
    return Number(part) === 3 ? half : half + Number(delta);
  }
  let drawn = random.between(0, 999) / 10;
  for (const [share, bytes] of wholeSizes) {
    if (drawn < share) return bytes - frame;
    drawn -= share;
  }
  return random.next() < 0.5 ? random.pick(textSizes) : random.between(2, 4_096);
}

/** With what encoders get wrong: quotes, control characters, NUL, two to four bytes of UTF-8. The number is its bytes in JSON. */
const specials: readonly [text: string, bytes: number][] = [
  ['"', 2],
  ["\\", 2],
  ["\n", 2],
  ["\0", 6],
  ["\u0001", 6],
  ["é", 2],
  ["漢", 3],
  ["😀", 4],
  ["</script>", 9],
];

const letters = "abcdefghijklmnopqrstuvwxyz";

/** Short words, because nothing in it may look like a secret; exactly so many bytes. */
function textOf(random: Random, bytes: number): string {
  const parts: string[] = [];
  let left = bytes;
  while (left > 0) {
    const drawn = random.next();
    const [special, cost] = drawn < 0.05 ? random.pick(specials) : ["", 0];
    if (cost > 0 && cost <= left) {
      parts.push(special);
      left -= cost;
      continue;
    }
    const word = `${letters.slice(random.between(0, 12), random.between(13, 17))} `.slice(0, left);
    parts.push(word);
    left -= word.length;
  }
  return parts.join("");
}

/** Whether the daemon has to refuse it. */
export function isTooLarge(event: OracleEvent): boolean {
  return bytesOf(event) > eventBytesMax;
}
