/**
 * Goal: the answer of rpc.discover is an OpenRPC document by the official meta-schema, complete, and every reference in it leads
 * somewhere. Method: ajv with the meta-schema package; the JSON schemas inside are judged as draft 7, which the meta-schema's own
 * reference (a page on the network) is built on.
 */
import assert from "node:assert/strict";
import { test } from "node:test";
import metaSchemaPackage from "@open-rpc/meta-schema";
import { Ajv, type SchemaObject, type ValidateFunction } from "ajv";
import { errorTable } from "./errors.ts";
import { daemonMethods } from "./methods.ts";
import { cloudMethods } from "./methods/vm.ts";
import { openRpcDocument } from "./openrpc.ts";

interface Described {
  readonly name: string;
  readonly params: { name: string; required: boolean; schema: Record<string, unknown> }[];
  readonly errors: { $ref: string }[];
}

const asJson = (value: unknown): unknown => JSON.parse(JSON.stringify(value));

const draft7 = "http://json-schema.org/draft-07/schema";
const outside = "https://meta.json-schema.tools";

function validator(): ValidateFunction {
  const packaged = metaSchemaPackage as unknown as { default?: SchemaObject };
  const text = JSON.stringify(packaged.default ?? packaged)
    .replaceAll(`${outside}/#/definitions/JSONSchemaObject/properties/$ref`, `${draft7}#/properties/$ref`)
    .replaceAll(`${outside}/`, `${draft7}#`)
    .replaceAll(outside, draft7);
  const formats = { uri: true, regex: true, "uri-reference": true } as const;
  return new Ajv({ strict: false, allErrors: true, formats }).compile(JSON.parse(text) as SchemaObject);
}

for (const [name, table] of Object.entries({ daemonMethods, cloudMethods })) {
  const document = asJson(openRpcDocument(table)) as { methods: Described[] };

  test(`${name}: validates against the OpenRPC meta-schema`, () => {
    const validate = validator();
    assert.ok(validate(document), JSON.stringify(validate.errors, undefined, 2));
  });

  test(`${name}: every $ref resolves within the document`, () => {
    let references = 0;
    const walk = (value: unknown): void => {
      if (typeof value !== "object" || value === null) return;
      for (const [key, inner] of Object.entries(value)) {
        if (key === "$ref") {
          references += 1;
          assert.ok(resolve(document, String(inner)) !== undefined, String(inner));
        } else walk(inner);
      }
    };
    walk(document);
    assert.ok(references > 0);
  });

  test(`${name}: every method is there with every parameter`, () => {
    assert.deepEqual(
      document.methods.map((method) => method.name),
      Object.keys(table),
    );
    for (const method of document.methods) {
      const definition = Object.values(table).find((candidate) => candidate.name === method.name);
      const shape = (definition?.params as unknown as { shape: object }).shape;
      assert.deepEqual(
        method.params.map((param) => param.name),
        Object.keys(shape),
      );
    }
  });
}

test("the meta-schema would notice: a damaged document does not validate", () => {
  const validate = validator();
  const damage: ((document: Record<string, unknown>, first: Record<string, unknown>) => unknown)[] = [
    (document) => delete document.info,
    (_document, first) => delete first.name,
    (_document, first) => (first.params = {}),
    (_document, first) => (first.params = [{ name: "a", schema: { type: "nonsense" } }]),
  ];
  for (const inflict of damage) {
    const document = asJson(openRpcDocument(daemonMethods)) as Record<string, unknown>;
    inflict(document, (document.methods as Record<string, unknown>[])[0]!);
    assert.equal(validate(document), false);
  }
});

test("a parameter with a default is optional, one without is required, and errors are described once", () => {
  const document = asJson(openRpcDocument(daemonMethods)) as { methods: Described[]; components: { errors: object } };
  const execute = document.methods.find(({ name }) => name === "command/execute");
  const required = execute?.params.filter((param) => param.required).map(({ name }) => name);
  assert.deepEqual(required, ["command_id", "command"]);
  assert.deepEqual(Object.keys(document.components.errors), Object.keys(errorTable));
});

function resolve(document: unknown, reference: string): unknown {
  assert.ok(reference.startsWith("#/"), `${reference} leads out of the document`);
  return reference
    .slice(2)
    .split("/")
    .reduce<unknown>(
      (value, key) => (value as Record<string, unknown> | undefined)?.[key.replaceAll("~1", "/")],
      document,
    );
}
