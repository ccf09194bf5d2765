/** The type of a key in words, from its schema: for messages, for documentation, and to know how a text is to be read. */
import * as z from "zod";
import { quantityHint } from "./units.ts";
import type { Key } from "./declare.ts";

/** The part of JSON Schema that the declarations use. */
export interface Described {
  readonly type?: string;
  readonly description?: string;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly exclusiveMinimum?: number;
  readonly minLength?: number;
  readonly items?: Described;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly required?: readonly string[];
  readonly additionalProperties?: Described | boolean;
  readonly propertyNames?: Described;
}

const cache = new WeakMap<Key<unknown>, Described>();

export const describeKey = (key: Key<unknown>): Described => {
  const known = cache.get(key);
  if (known !== undefined) return known;
  const described = z.toJSONSchema(key.schema, { io: "input", unrepresentable: "any" }) as Described;
  cache.set(key, described);
  return described;
};

/** What a message says is allowed. */
export const allowedFor = (key: Key<unknown>): string => {
  const hint = key.unit === undefined ? undefined : quantityHint(key.unit);
  const type = typeInWords(describeKey(key));
  const unit = key.unit === undefined ? "" : `, in ${key.unit}`;
  return `${type}${unit}${hint === undefined ? "" : `; ${hint}`}${key.optional ? "; or null for none" : ""}`;
};

/** The description of the part of a value at `path`; undefined where the schema ends before. */
export const describedAt = (described: Described, path: readonly PropertyKey[]): Described | undefined => {
  let current: Described | undefined = described;
  for (const part of path) {
    if (current === undefined) return undefined;
    if (typeof part === "number") current = current.items;
    else current = current.properties?.[String(part)] ?? openProperties(current);
  }
  return current;
};

const openProperties = ({ additionalProperties }: Described): Described | undefined =>
  typeof additionalProperties === "object" ? additionalProperties : undefined;

export const typeInWords = (described: Described): string => {
  if (described.description !== undefined) return described.description;
  if (described.enum !== undefined) return described.enum.map((value) => JSON.stringify(value)).join(" or ");
  if (described.const !== undefined) return JSON.stringify(described.const);
  switch (described.type) {
    case "boolean":
      return "true or false";
    case "integer":
      return `whole number${range(described)}`;
    case "number":
      return `number${range(described)}`;
    case "array":
      return described.items === undefined ? "list" : `list of ${typeInWords(described.items)}`;
    case "object":
      return objectInWords(described);
    case "string":
      return (described.minLength ?? 0) > 0 ? "text, not empty" : "text";
    default:
      return "value";
  }
};

const objectInWords = (described: Described): string => {
  if (described.properties !== undefined) {
    const names = Object.keys(described.properties);
    return `{${names.map((name) => (described.required?.includes(name) === true ? name : `${name}?`)).join(", ")}}`;
  }
  const values = openProperties(described);
  return values === undefined ? "object" : `map of name to ${typeInWords(values)}`;
};

const range = ({ minimum, maximum, exclusiveMinimum }: Described): string => {
  const low = exclusiveMinimum === undefined ? minimum : undefined;
  const high = maximum === undefined || maximum >= Number.MAX_SAFE_INTEGER ? undefined : maximum;
  if (exclusiveMinimum !== undefined)
    return ` above ${exclusiveMinimum}${high === undefined ? "" : `, at most ${high}`}`;
  if (low !== undefined && high !== undefined) return ` from ${low} to ${high}`;
  if (low !== undefined) return `, at least ${low}`;
  return high === undefined ? "" : `, at most ${high}`;
};
