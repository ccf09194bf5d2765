/** Times and sizes for people: two significant steps, no false precision. */
const steps = [
  ["d", 86_400],
  ["h", 3_600],
  ["min", 60],
] as const;

/** `850 ms`, `4.2 s`, `3 min 20 s`, `2 d 4 h`. */
export function duration(seconds: number): string {
  if (seconds < 0) return "0 s";
  if (seconds < 1) return `${Math.round(seconds * 1000)} ms`;
  if (seconds < 10) return `${Math.floor(seconds * 10) / 10} s`;
  const whole = Math.floor(seconds);
  if (whole < 60) return `${whole} s`;
  for (const [index, [unit, size]] of steps.entries()) {
    if (whole < size) continue;
    const [smallerUnit, smallerSize] = steps[index + 1] ?? ["s", 1];
    const rest = Math.floor((whole % size) / smallerSize);
    return `${Math.floor(whole / size)} ${unit}${rest === 0 ? "" : ` ${rest} ${smallerUnit}`}`;
  }
  return `${whole} s`;
}

/** `just now`, `12 s ago`, `3 h ago`: one step is enough to look back. */
export function ago(seconds: number): string {
  if (seconds < 1) return "just now";
  const [unit, size] = steps.find(([, step]) => seconds >= step) ?? ["s", 1];
  return `${Math.floor(seconds / size)} ${unit} ago`;
}

export function bytes(count: number): string {
  const units = ["B", "KiB", "MiB", "GiB", "TiB"];
  let value = count;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  return `${unit === 0 || value >= 100 ? Math.round(value) : Math.round(value * 10) / 10} ${units[unit] ?? ""}`;
}

export function plural(count: number, noun: string): string {
  return `${count} ${noun}${count === 1 ? "" : "s"}`;
}
