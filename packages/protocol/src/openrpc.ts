import { errorTable } from "./errors.ts";
import { jsonSchemaOf } from "./json-schema.ts";
import type { MethodDefinition, MethodTable } from "./method.ts";
import { version } from "./version.ts";

/** Renders a method table as an OpenRPC document; the answer of rpc.discover and `GET /openrpc.json`. */
export function openRpcDocument(table: MethodTable): Record<string, unknown> {
  return {
    openrpc: "1.3.2",
    info: {
      title: "hl-daemon",
      version,
      description:
        "Runs commands and coding agents in a VM for a cloud control plane. JSON-RPC 2.0 over a unix socket, HTTP and WebSocket.",
      license: { name: "Apache-2.0" },
    },
    methods: Object.values(table).map(describeMethod),
    components: {
      errors: Object.fromEntries(
        Object.entries(errorTable).map(([type, spec]) => [
          type,
          { code: spec.code, message: spec.when, data: { help: spec.help, retry: spec.retry } },
        ]),
      ),
    },
  };
}

function describeMethod(definition: MethodDefinition): Record<string, unknown> {
  const params = jsonSchemaOf(definition.params, "input");
  const required = new Set(params.required);
  return {
    name: definition.name,
    summary: definition.summary,
    paramStructure: "by-name",
    params: Object.entries(params.properties ?? {}).map(([name, schema]) => ({
      name,
      required: required.has(name),
      schema,
    })),
    result: { name: "result", schema: jsonSchemaOf(definition.result, "output") },
    errors: definition.errors.map((type) => ({ $ref: `#/components/errors/${type}` })),
    "x-permission": definition.permission,
    "x-idempotent": definition.idempotent,
    "x-timeout-ms": definition.timeoutMs,
    ...(definition.notifications === undefined
      ? {}
      : {
          "x-notifications": Object.entries(definition.notifications).map(([name, schema]) => ({
            name,
            schema: jsonSchemaOf(schema, "output"),
          })),
        }),
  };
}
