/** Renders a JSON schema as tables for people: one row a member, nested members as paths. */
import type { JsonSchema } from "./json-schema.ts";

/** Empty when the object has no members of its own. */
export function memberTable(schema: JsonSchema, kind: "parameters" | "members"): string[] {
  const rows = membersOf(schema, "");
  if (rows.length === 0) return [];
  const cells = rows.map(({ path, member, required }) => {
    const name = `\`${path}\``;
    const meaning = member.description ?? "";
    if (kind === "parameters") return [name, typeOf(member), presence(member, required), meaning];
    return [name, required ? typeOf(member) : `${typeOf(member)}, optional`, meaning];
  });
  const head =
    kind === "parameters" ? ["parameter", "type", "default", "what it means"] : ["member", "type", "what it means"];
  return table(head, cells);
}

export function table(head: readonly string[], rows: readonly (readonly string[])[]): string[] {
  const line = (cells: readonly string[]): string => `| ${cells.map(escapeCell).join(" | ")} |`;
  return [line(head), line(head.map(() => "---")), ...rows.map(line), ""];
}

const escapeCell = (text: string): string => text.replaceAll("|", "\\|").replaceAll("\n", " ");

interface Member {
  readonly path: string;
  readonly member: JsonSchema;
  readonly required: boolean;
}

function membersOf(schema: JsonSchema, prefix: string): Member[] {
  return Object.entries(schema.properties ?? {}).flatMap(([name, member]) => {
    const path = prefix + name;
    const inner =
      member.type === "array" ? { of: member.items ?? {}, prefix: `${path}[].` } : { of: member, prefix: `${path}.` };
    return [{ path, member, required: schema.required?.includes(name) ?? false }, ...membersOf(inner.of, inner.prefix)];
  });
}

function presence(member: JsonSchema, required: boolean): string {
  if (required) return "required";
  return member.default === undefined ? "" : `\`${JSON.stringify(member.default)}\``;
}

/** In words: `integer, 1 to 1000`. */
export function typeOf(schema: JsonSchema): string {
  if (schema.const !== undefined) return `\`${JSON.stringify(schema.const)}\``;
  if (schema.enum !== undefined) return schema.enum.map((value) => `\`${JSON.stringify(value)}\``).join(" or ");
  if (schema.anyOf !== undefined) return schema.anyOf.map(typeOf).join(" or ");
  switch (schema.type) {
    case undefined:
      return "anything";
    case "string":
      return (schema.format === "uuid" ? "UUID" : "text") + lengthOf(schema);
    case "integer":
    case "number":
      return schema.type + rangeOf(schema);
    case "array":
      return `list of ${typeOf(schema.items ?? {})}${schema.maxItems === undefined ? "" : `, at most ${schema.maxItems}`}`;
    case "object":
      return objectType(schema);
    default:
      return [schema.type].flat().join(" or ");
  }
}

function objectType({ properties, additionalProperties }: JsonSchema): string {
  if (properties !== undefined || typeof additionalProperties !== "object") return "object";
  return `object of ${typeOf(additionalProperties)}`;
}

function lengthOf({ minLength = 0, maxLength, format }: JsonSchema): string {
  if (format === "uuid" || maxLength === undefined) return "";
  return minLength === 0 ? `, at most ${maxLength} characters` : `, ${minLength} to ${maxLength} characters`;
}

function rangeOf({ minimum, maximum, exclusiveMinimum }: JsonSchema): string {
  if (exclusiveMinimum !== undefined) {
    return `, more than ${exclusiveMinimum}${maximum === undefined ? "" : `, at most ${maximum}`}`;
  }
  if (minimum !== undefined && maximum !== undefined) return `, ${minimum} to ${maximum}`;
  if (minimum !== undefined) return `, at least ${minimum}`;
  return maximum === undefined ? "" : `, at most ${maximum}`;
}
