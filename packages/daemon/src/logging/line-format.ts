/** A line of the log as a person reads it, of what pino has made. */
const names: Readonly<Record<number, string>> = {
  10: "TRACE",
  20: "DEBUG",
  30: "INFO",
  40: "WARN",
  50: "ERROR",
  60: "FATAL",
};
const levelWidth = 5;

/** `TIME LEVEL [part] message key=value …`, one line whatever is in it. */
export function textLine(json: string): string {
  const { level, time, part, msg, service, pid, ...fields } = JSON.parse(json) as Record<string, unknown>;
  const of = typeof part === "string" ? ` [${escaped(part)}]` : "";
  const name = (names[Number(level)] ?? String(level)).padEnd(levelWidth);
  const process = `${String(service)}[${String(pid)}]`;
  return `${String(time)} ${name} ${process}${of} ${withPairs(String(msg), fields)}\n`;
}

/** The message with the fields behind it. */
export function withPairs(message: string, fields: Readonly<Record<string, unknown>>): string {
  const pairs = Object.entries(fields).map(([key, value]) =>
    value === undefined ? "" : ` ${wordOf(key)}=${wordOf(value)}`,
  );
  return escaped(message) + pairs.join("");
}

/** Without quotes where nobody can take it for something else. */
function wordOf(value: unknown): string {
  if (typeof value === "string" && /^[\w./:@+-]+$/.test(value)) return value;
  return escaped(JSON.stringify(value));
}

/** Nothing that a terminal obeys, and no second line that somebody else has written. */
function escaped(text: string): string {
  return text.replace(
    /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
