/** What is wrong with a configuration: for programs as plain objects, for people as lines. */

export interface Problem {
  /** The file, or "environment", or "defaults". */
  readonly file: string;
  /** JSON pointer (RFC 6901) inside that file; for the environment inside the configuration. */
  readonly pointer: string;
  readonly message: string;
  /** As written, masked where the key is secret; absent where there is none. */
  readonly value?: unknown;
  /** What would be right. */
  readonly allowed?: string | undefined;
  readonly suggestion?: string | undefined;
  /** The environment variable, where the value came from one. */
  readonly variable?: string | undefined;
  /** Place in the file, from 1; absent outside files. */
  readonly line?: number | undefined;
  readonly column?: number | undefined;
}

/** Shown in place of a secret. */
export const MASK = "********";

/** `/a/b~1c` of `["a", "b/c"]`. */
export const toPointer = (path: readonly PropertyKey[]): string =>
  path.map((part) => `/${String(part).replaceAll("~", "~0").replaceAll("/", "~1")}`).join("");

/** The path of a JSON pointer. */
export const fromPointer = (pointer: string): string[] =>
  pointer
    .split("/")
    .slice(1)
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));

/** One line for a problem, without its value: for those who may not see the file. */
export const problemInWords = ({ file, pointer, variable, message, allowed, suggestion }: Problem): string => {
  const where = variable ?? (pointer === "" ? file : fromPointer(pointer).join("."));
  const more = [
    allowed === undefined ? "" : ` (allowed: ${allowed})`,
    suggestion === undefined ? "" : `; ${suggestion}`,
  ];
  return `${where} ${message}${more.join("")}`;
};

const VALUE_CHARACTERS_MAX = 120;

/** The value in one short line of JSON. */
export const showValue = (value: unknown): string => {
  const text =
    typeof value === "number" && !Number.isFinite(value)
      ? String(value)
      : ((JSON.stringify(value) as string | undefined) ?? String(value));
  return text.length > VALUE_CHARACTERS_MAX
    ? `${text.slice(0, VALUE_CHARACTERS_MAX)}… (${text.length} characters)`
    : text;
};

/** One paragraph for each problem: where, what, what is allowed, what was probably meant. */
export const formatProblems = (problems: readonly Problem[]): string => {
  const paragraphs = problems.map((problem) => {
    const place = problem.line === undefined ? "" : `:${problem.line}:${problem.column ?? 1}`;
    const where = problem.variable ?? `${problem.file}${place}`;
    const pointer = problem.pointer === "" ? "" : ` ${problem.pointer}`;
    const value = problem.value === undefined ? "" : `\n    value:   ${showValue(problem.value)}`;
    const allowed = problem.allowed === undefined ? "" : `\n    allowed: ${problem.allowed}`;
    const suggestion = problem.suggestion === undefined ? "" : `\n    hint:    ${problem.suggestion}`;
    return `${where}${pointer}\n    ${problem.message}${value}${allowed}${suggestion}`;
  });
  const total = problems.length === 1 ? "1 problem" : `${problems.length} problems`;
  return problems.length === 0
    ? "The configuration is valid.\n"
    : `${paragraphs.join("\n")}\n${total} in the configuration.\n`;
};
