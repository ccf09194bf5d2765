/** Renders docs/protocol.md and docs/errors.md from the tables, so that they cannot say anything else than the program does. */
import * as z from "zod";
import { memberTable, table, typeOf } from "./docs-schema.ts";
import { cloudIntroduction, daemonIntroduction, errorIntroduction, protocolIntroduction } from "./docs-text.ts";
import { errorTable, type ErrorType } from "./errors.ts";
import { jsonSchemaOf, type JsonSchema } from "./json-schema.ts";
import type { MethodDefinition, MethodTable } from "./method.ts";
import { daemonMethods } from "./methods.ts";
import { cloudMethods } from "./methods/vm.ts";

/** docs/protocol.md: transports, messages, and every method with all that its definition holds. */
export function renderProtocolDocs(): string {
  return [
    protocolIntroduction,
    daemonIntroduction,
    ...overview(daemonMethods),
    ...methods(daemonMethods),
    cloudIntroduction,
    ...overview(cloudMethods),
    ...methods(cloudMethods),
  ].join("\n");
}

/** docs/errors.md: the error table by families. */
export function renderErrorDocs(): string {
  const rows = Object.entries(errorTable);
  const families = errorFamilies.flatMap(({ title, from, to }) => {
    const members = rows.filter(([, { code }]) => code >= from && code <= to);
    if (members.length === 0) return [];
    const cells = members.map(([type, { code, when, help, retry }]) => [
      String(code),
      `\`${type}\``,
      `${sentence(when)} ${help}`,
      retry,
    ]);
    return [`## ${title}\n`, ...table(["code", "error_type", "what it means and what to do", "retry"], cells)];
  });
  return [errorIntroduction, ...families].join("\n");
}

/** Every code lies in one of these; a test holds them to it. */
export const errorFamilies = [
  { title: "JSON-RPC", from: -32_999, to: -32_000 },
  { title: "Access and load", from: 1000, to: 1099 },
  { title: "Commands", from: 1100, to: 1199 },
  { title: "Agents", from: 1200, to: 1299 },
  { title: "Configuration", from: 1300, to: 1399 },
  { title: "Events", from: 1400, to: 1499 },
  { title: "Files", from: 1500, to: 1599 },
  { title: "Approvals", from: 1600, to: 1699 },
  { title: "Control plane", from: 1700, to: 1799 },
] as const;

function overview(methodTable: MethodTable): string[] {
  const rows = Object.values(methodTable).map(({ name, permission, summary }) => [
    `\`${name}\``,
    `\`${permission}\``,
    summary,
  ]);
  return table(["method", "permission", "what it does"], rows);
}

function methods(methodTable: MethodTable): string[] {
  const shown = new Map<unknown, string>();
  return Object.values(methodTable).flatMap((definition) => method(definition, shown));
}

/** @param shown the results and notifications that are above already, with the method that they are described at. */
function method(definition: MethodDefinition, shown: Map<unknown, string>): string[] {
  const { name, summary, permission, idempotent, timeoutMs, errors, params, result, notifications } = definition;
  const limit = timeoutMs === null ? "its own parameters decide" : `${timeoutMs / 1000} s`;
  const parameters = memberTable(jsonSchemaOf(params, "input"), "parameters");
  return [
    `### ${name}\n`,
    `${summary}\n`,
    `Permission \`${permission}\` · ${idempotent ? "idempotent" : "not idempotent"} · time limit: ${limit}\n`,
    ...(parameters.length === 0 ? ["No parameters.\n"] : parameters),
    ...results(name, result, shown),
    ...once(
      name,
      notifications,
      shown,
      (link) => `Notifications: the same as those of ${link}.\n`,
      () =>
        Object.entries(notifications ?? {}).flatMap(([notification, schema]) => [
          `Notification \`${notification}\`:\n`,
          ...once(
            name,
            schema,
            shown,
            (link) => `The result of ${link}.\n`,
            () => memberTable(jsonSchemaOf(schema, "output"), "members"),
          ),
        ]),
    ),
    ...errorList(errors, definition.invalidParams),
  ];
}

/** Of a result that is one of several shapes, each by itself. */
function results(name: string, result: z.ZodType, shown: Map<unknown, string>): string[] {
  const shapes = result instanceof z.ZodUnion ? (result.options as readonly z.ZodType[]) : [result];
  return shapes.flatMap((shape, index) => {
    const title = index === 0 ? "Result" : `Or, ${shape.description ?? ""}`;
    return once(
      name,
      shape,
      shown,
      (link) => `${title}: the same object as that of ${link}.\n`,
      () => [`${title}:\n`, ...resultTable(jsonSchemaOf(shape, "output"))],
    );
  });
}

/** A shape that several methods share is described where it comes first. */
function once(
  name: string,
  shape: unknown,
  shown: Map<unknown, string>,
  refer: (link: string) => string,
  describe: () => string[],
): string[] {
  if (shape === undefined) return [];
  const before = shown.get(shape);
  if (before !== undefined) return [refer(before === name ? "this method" : `[${before}](#${anchorOf(before)})`)];
  shown.set(shape, name);
  return describe();
}

/** As GitHub makes anchors of headings. */
const anchorOf = (heading: string): string => heading.toLowerCase().replaceAll(/[^a-z0-9 _-]/g, "");

function resultTable(schema: JsonSchema): string[] {
  const rows = memberTable(schema, "members");
  return rows.length > 0 ? rows : [`${sentence(typeOf(schema))}\n`];
}

function errorList(errors: readonly ErrorType[], invalidParams: ErrorType | undefined): string[] {
  const notes =
    invalidParams === undefined ? "" : ` Parameters of the wrong shape are answered with \`${invalidParams}\`.`;
  if (errors.length === 0) return notes === "" ? [] : [`${notes.trim()}\n`];
  const named = errors.map((type) => `\`${type}\` (${errorTable[type].code})`).join(", ");
  return [`Errors: ${named}.${notes}\n`];
}

const sentence = (text: string): string => `${text.slice(0, 1).toUpperCase()}${text.slice(1)}.`;
