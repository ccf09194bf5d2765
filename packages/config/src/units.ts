/** Sizes and durations as people write them ("100MB", "10MiB", "5s", "1h"), and the numbers that the code works with. */

/** What a number counts. The first five convert from text with a unit; the others only explain. */
export type Unit =
  | "bytes"
  | "MiB"
  | "milliseconds"
  | "seconds"
  | "days"
  | "percent"
  | "events"
  | "messages"
  | "processes"
  | "commands"
  | "requests per minute"
  | "requests"
  | "connections"
  | "attempts"
  | "files";

interface Scale {
  readonly kind: "size" | "duration";
  readonly one: number;
}

const DURATIONS_MS: Readonly<Record<string, number>> = {
  ms: 1,
  s: 1000,
  m: 60_000,
  min: 60_000,
  h: 3_600_000,
  d: 86_400_000,
};

const SIZES_BYTES: Readonly<Record<string, number>> = {
  b: 1,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
};

const SCALES: Partial<Record<Unit, Scale>> = {
  bytes: { kind: "size", one: 1 },
  MiB: { kind: "size", one: 2 ** 20 },
  milliseconds: { kind: "duration", one: 1 },
  seconds: { kind: "duration", one: 1000 },
  days: { kind: "duration", one: 86_400_000 },
};

const ALLOWED = {
  size: 'a number or text such as "100MB", "10MiB" or "1GiB" (B, KB, MB, GB, TB, KiB, MiB, GiB, TiB)',
  duration: 'a number or text such as "250ms", "5s", "10m", "1h" or "7d"',
};

export type Quantity = { readonly ok: true; readonly value: number } | { readonly ok: false; readonly message: string };

/** True where text with a unit is accepted beside the bare number. */
export const isQuantity = (unit: Unit | undefined): unit is Unit => unit !== undefined && SCALES[unit] !== undefined;

/** What may be written, for messages and documentation; nothing for units that do not convert. */
export const quantityHint = (unit: Unit): string | undefined => {
  const scale = SCALES[unit];
  return scale === undefined ? undefined : ALLOWED[scale.kind];
};

/** Reads "100MB" as a number of `unit`. Sizes are rounded down to whole units; a bare number is taken as it is. */
export const parseQuantity = (text: string, unit: Unit): Quantity => {
  const scale = SCALES[unit];
  const match = /^\s*(\d+(?:\.\d+)?|\.\d+)\s*([A-Za-z]*)\s*$/.exec(text);
  if (scale === undefined || match === null) return { ok: false, message: "is not a number with a unit" };
  const [, digits = "", suffix = ""] = match;
  const amount = Number(digits);
  if (suffix === "") return { ok: true, value: amount };
  const table = scale.kind === "size" ? SIZES_BYTES : DURATIONS_MS;
  const factor = Object.hasOwn(table, suffix.toLowerCase()) ? table[suffix.toLowerCase()] : undefined;
  if (factor === undefined) return { ok: false, message: `has the unknown unit "${suffix}"` };
  const value = (amount * factor) / scale.one;
  return { ok: true, value: scale.kind === "size" ? Math.floor(value) : value };
};

/** The number in the largest unit that fits it exactly, for documentation: 104857600 bytes are "100 MiB". */
export const formatQuantity = (value: number, unit: Unit | undefined): string => {
  if (unit === "bytes" && value > 0) {
    for (const [name, one] of Object.entries({ GiB: 2 ** 30, MiB: 2 ** 20, GB: 1e9, MB: 1e6, KiB: 2 ** 10 }))
      if (value % one === 0) return `${value / one} ${name}`;
  }
  return String(value);
};
