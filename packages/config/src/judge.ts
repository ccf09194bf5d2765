/** Judges one value against its key: spelling and units first, then the schema, and what is wrong in words. */
import type * as z from "zod";
import type { Key } from "./declare.ts";
import { allowedFor, describedAt, describeKey, typeInWords, type Described } from "./describe.ts";
import { isComment, parseJson } from "./json.ts";
import { nearest } from "./suggest.ts";
import { isQuantity, parseQuantity } from "./units.ts";

/** What is wrong with a value, or with the part of it at `path`. */
export interface Fault {
  readonly path: readonly PropertyKey[];
  readonly message: string;
  readonly allowed?: string | undefined;
  readonly suggestion?: string | undefined;
}

export type Judgement =
  { readonly ok: true; readonly value: unknown } | { readonly ok: false; readonly faults: readonly Fault[] };

const refuse = (message: string, key: Key<unknown>, suggestion?: string): Judgement => ({
  ok: false,
  faults: [{ path: [], message, allowed: allowedFor(key), suggestion }],
});

/** A value as JSON has it. */
export const judge = (key: Key<unknown>, raw: unknown): Judgement => {
  if (raw === null && key.optional) return { ok: true, value: undefined };
  let value = key.prepare === undefined ? raw : key.prepare(raw);
  if (typeof value === "string" && isQuantity(key.unit)) {
    const quantity = parseQuantity(value, key.unit);
    if (!quantity.ok) return refuse(quantity.message, key);
    value = quantity.value;
  }
  const result = key.schema.safeParse(withoutComments(value), { reportInput: true });
  if (result.success) return { ok: true, value: result.data };
  return { ok: false, faults: result.error.issues.flatMap((issue) => explain(issue, key)) };
};

const BOOLEANS: Readonly<Record<string, boolean>> = {
  true: true,
  yes: true,
  on: true,
  "1": true,
  false: false,
  no: false,
  off: false,
  "0": false,
};

/** A value as text has it (environment variables, replaced placeholders): read as the key's type says. */
export const judgeText = (key: Key<unknown>, text: string): Judgement => {
  if (text === "" && key.optional) return { ok: true, value: undefined };
  const described = describeKey(key);
  switch (described.type) {
    case "boolean": {
      const word = text.trim().toLowerCase();
      if (!Object.hasOwn(BOOLEANS, word)) return refuse("must be true or false", key);
      return judge(key, BOOLEANS[word]);
    }
    case "integer":
    case "number":
      if (isQuantity(key.unit)) return judge(key, text);
      if (!/^\s*-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?\s*$/.test(text)) return refuse("must be a number", key);
      return judge(key, Number(text));
    case "array":
    case "object": {
      const { value, problems } = parseJson(text);
      const [problem] = problems;
      if (problem === undefined) return judge(key, value);
      const example = described.type === "array" ? '["a", "b"]' : '{"NAME": "value"}';
      return refuse(
        `must be JSON such as ${example}; at character ${problem.offset + 1} it ${problem.message}`,
        key,
        problem.suggestion,
      );
    }
    default:
      return judge(key, text);
  }
};

/** The text that `judgeText` reads back as this value. */
export const toText = (value: unknown): string => {
  if (value === undefined || value === null) return "";
  return typeof value === "string" ? value : JSON.stringify(value);
};

const withoutComments = (value: unknown): unknown => {
  if (Array.isArray(value)) return value.map(withoutComments);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([name]) => !isComment(name));
  return Object.fromEntries(entries.map(([name, inner]) => [name, withoutComments(inner)]));
};

type Issue = z.core.$ZodIssue;

const explain = (issue: Issue, key: Key<unknown>): Fault[] => {
  const described = describeKey(key);
  const part = describedAt(described, issue.path);
  const allowed = issue.path.length === 0 ? allowedFor(key) : part === undefined ? undefined : typeInWords(part);
  if (issue.code === "unrecognized_keys") {
    const names = Object.keys(part?.properties ?? {});
    return issue.keys.map((name) => ({
      path: [...issue.path, name],
      message: "is not a known key",
      allowed,
      suggestion: didYouMean(name, names),
    }));
  }
  const { message, suggestion } = inWords(issue, part);
  return [{ path: issue.path, message, allowed, suggestion }];
};

const inWords = (issue: Issue, part: Described | undefined): { message: string; suggestion?: string | undefined } => {
  switch (issue.code) {
    case "invalid_type":
      return { message: wrongType(issue, part) };
    case "invalid_value": {
      const values = issue.values.map(String);
      const suggestion = typeof issue.input === "string" ? didYouMean(issue.input, values) : undefined;
      return { message: `must be ${values.map((value) => JSON.stringify(value)).join(" or ")}`, suggestion };
    }
    case "too_small":
    case "too_big":
      return { message: outOfRange(issue) };
    case "invalid_key":
      return { message: `has a key that is not allowed: ${issue.issues.map((inner) => inner.message).join(", ")}` };
    case "custom": {
      const candidates: unknown = issue.params?.candidates;
      const known = Array.isArray(candidates) && typeof issue.input === "string";
      return {
        message: issue.message,
        suggestion: known ? didYouMean(issue.input, candidates.map(String)) : undefined,
      };
    }
    case "invalid_format":
    case "not_multiple_of":
    case "invalid_union":
    case "invalid_element":
    case "unrecognized_keys":
      return { message: issue.message };
  }
};

const TYPE_NAMES: Readonly<Record<string, string>> = {
  string: "text",
  number: "a number",
  int: "a whole number",
  boolean: "true or false",
  array: "a list",
  object: "an object",
  record: "an object",
};

const wrongType = (issue: Extract<Issue, { code: "invalid_type" }>, part: Described | undefined): string => {
  if (issue.input === undefined) return "is missing";
  const expected = TYPE_NAMES[issue.expected] ?? TYPE_NAMES[part?.type ?? ""] ?? issue.expected;
  return `must be ${expected}`;
};

const outOfRange = (issue: Extract<Issue, { code: "too_small" | "too_big" }>): string => {
  const small = issue.code === "too_small";
  const limit = String(small ? issue.minimum : issue.maximum);
  const border = issue.inclusive === false ? (small ? "more than" : "less than") : small ? "at least" : "at most";
  if (issue.origin === "string")
    return limit === "1" && small ? "must not be empty" : `must have ${border} ${limit} characters`;
  if (issue.origin === "array") return `must have ${border} ${limit} ${limit === "1" ? "entry" : "entries"}`;
  return `must be ${border} ${limit}`;
};

/** A hint where something near enough exists. */
export const didYouMean = (word: string, candidates: Iterable<string>): string | undefined => {
  const meant = nearest(word, candidates);
  return meant === undefined ? undefined : `did you mean ${JSON.stringify(meant)}?`;
};
