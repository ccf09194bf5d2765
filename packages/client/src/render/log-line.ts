import { escapeLine } from "./escape.ts";
import type { Paint, Tone } from "./paint.ts";

const levels: Readonly<Record<number, readonly [name: string, tone: Tone]>> = {
  10: ["TRACE", "faint"],
  20: ["DEBUG", "faint"],
  30: ["INFO", "plain"],
  40: ["WARN", "warning"],
  50: ["ERROR", "bad"],
  60: ["FATAL", "bad"],
};
const levelWidth = 5;

/** A line of a log of the daemon for people; one that is no JSON object is shown as it is, without what a terminal obeys. */
export function logLine(line: string, paint: Paint): string {
  const fields = objectIn(line);
  if (fields === undefined) return escapeLine(line);
  const { time, level, part, msg, service: _service, pid: _pid, ...rest } = fields;
  const [name, tone] = levels[Number(level)] ?? ["", "plain"];
  const words = [
    typeof time === "string" ? paint("faint", escapeLine(time)) : "",
    name === "" ? "" : paint(tone, name.padEnd(levelWidth)),
    typeof part === "string" ? `[${escapeLine(part)}]` : "",
    typeof msg === "string" ? escapeLine(msg) : "",
    ...Object.entries(rest).map(([key, value]) => `${paint("faint", `${escapeLine(key)}=`)}${valueText(value)}`),
  ];
  return words.filter((word) => word !== "").join(" ");
}

function valueText(value: unknown): string {
  if (typeof value === "string" && /^[\w./:@+-]+$/.test(value)) return value;
  return escapeLine(JSON.stringify(value));
}

function objectIn(line: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === "object" && value !== null && !Array.isArray(value)
      ? (value as Record<string, unknown>)
      : undefined;
  } catch {
    return undefined;
  }
}
