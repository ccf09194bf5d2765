/** Goal: the pages hold every method, parameter and error of the tables, and Markdown that renders: no broken rows, no dead links. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { errorFamilies, renderErrorDocs, renderProtocolDocs } from "./docs.ts";
import { typeOf } from "./docs-schema.ts";
import { errorTable } from "./errors.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import { daemonMethods } from "./methods.ts";
import { cloudMethods } from "./methods/vm.ts";

const protocol = renderProtocolDocs();
const errors = renderErrorDocs();

test("every method has its section with every parameter, and every error its row", () => {
  for (const table of [daemonMethods, cloudMethods]) {
    for (const { name, summary, params } of Object.values(table)) {
      const section = sectionOf(name, summary);
      for (const parameter of Object.keys(jsonSchemaOf(params, "input").properties ?? {})) {
        assert.ok(section.includes(`| \`${parameter}\` |`), `${name} lacks ${parameter}`);
      }
    }
  }
  for (const [type, { code }] of Object.entries(errorTable)) {
    assert.ok(errors.includes(`| ${code} | \`${type}\` |`), type);
    assert.equal(errorFamilies.filter(({ from, to }) => code >= from && code <= to).length, 1, type);
  }
});

test("every row of a table has as many cells as its head, and every link leads to a heading", () => {
  for (const page of [protocol, errors]) {
    let cells = 0;
    for (const line of page.split("\n")) {
      const count = line.startsWith("| ") ? line.replaceAll("\\|", "").split("|").length : 0;
      if (count > 0 && cells > 0) assert.equal(count, cells, line);
      cells = count;
    }
    const anchors = new Set(
      [...page.matchAll(/^#+ (.*)$/gm)].map(([, heading = ""]) => heading.replaceAll(/[/.]/g, "")),
    );
    for (const [, anchor = ""] of page.matchAll(/\]\(#([^)]*)\)/g)) assert.ok(anchors.has(anchor), anchor);
    assert.ok(!page.includes("undefined") && !page.includes("[object"));
  }
});

test("types are said in words", () => {
  assert.equal(typeOf({ type: "integer", minimum: 1, maximum: 5 }), "integer, 1 to 5");
  assert.equal(typeOf({ type: "number", exclusiveMinimum: 0, maximum: 9 }), "number, more than 0, at most 9");
  assert.equal(typeOf({ anyOf: [{ type: "number" }, { type: "null" }] }), "number or null");
  assert.equal(typeOf({ enum: ["a", "b"] }), '`"a"` or `"b"`');
  assert.equal(
    typeOf({ type: "array", items: { type: "string", maxLength: 3 }, maxItems: 2 }),
    "list of text, at most 3 characters, at most 2",
  );
  assert.equal(typeOf({ type: "object", additionalProperties: { type: "string" } }), "object of text");
  assert.equal(typeOf({}), "anything");
});

test("the pages that are checked in are those of the tables (npm run docs)", () => {
  const checkedIn = (name: string): string => readFileSync(new URL(`../../../docs/${name}`, import.meta.url), "utf8");
  assert.equal(checkedIn("protocol.md"), protocol);
  assert.equal(checkedIn("errors.md"), errors);
});

function sectionOf(name: string, summary: string): string {
  const start = protocol.indexOf(`### ${name}\n\n${summary}`);
  assert.ok(start !== -1, `${name} has no section`);
  const end = protocol.indexOf("\n### ", start + 1);
  return protocol.slice(start, end === -1 ? undefined : end);
}
