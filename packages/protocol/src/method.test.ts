/** Goal: parameters that are wrong are all named, each with what was sent; what is right gets its defaults. */
import assert from "node:assert/strict";
import { test } from "node:test";
import fc from "fast-check";
import { HlError } from "./errors.ts";
import { parseParams, type MethodDefinition } from "./method.ts";
import { daemonMethods } from "./methods.ts";
import { cloudMethods } from "./methods/vm.ts";

interface Problem {
  readonly path: string;
  readonly message: string;
  readonly received: string;
}

function problemsOf(definition: MethodDefinition, params: unknown): Problem[] {
  try {
    parseParams(definition, params);
  } catch (error) {
    assert.ok(error instanceof HlError);
    assert.ok(error.message.startsWith(`${definition.name}: `));
    return error.facts.problems as Problem[];
  }
  assert.fail("nothing was refused");
}

const execute = daemonMethods["command/execute"];

test("every wrong parameter is named with its path and what was sent", () => {
  const problems = problemsOf(execute, { command: 5, args: ["fine", "a\0b"], env: { "BAD NAME": "x" }, timeout: -1 });
  assert.deepEqual(
    problems.map(({ path, received }) => [path, received]),
    [
      ["command_id", "nothing"],
      ["command", "5"],
      ["args.1", '"a\\u0000b"'],
      ["env.BAD NAME", '"BAD NAME"'],
      ["timeout", "-1"],
    ],
  );
  assert.throws(() => parseParams(execute, { command: "x" }), /command\/execute: command_id: .*/);
  assert.throws(() => parseParams(execute, {}), /\(and 1 more\)/);
});

test("a variable of the name __proto__ is refused, since it would vanish on its way; others of such names arrive", () => {
  const asked = (env: string): unknown => JSON.parse(`{"command_id":"a","command":"x","env":${env}}`);
  const [named] = problemsOf(execute, asked('{"__proto__":"x","A":"b"}'));
  assert.deepEqual([named?.path, named?.received], ["env.__proto__", '"__proto__"']);
  const { env } = parseParams(execute, asked('{"constructor":"a","toString":"b","hasOwnProperty":"c"}')) as {
    env: object;
  };
  assert.deepEqual(Object.entries(env), [["constructor", "a"], ["toString", "b"], ["hasOwnProperty", "c"]]); // prettier-ignore
  for (const wrong of ["null", "5", '"x"', "[]"]) assert.equal(problemsOf(execute, asked(wrong))[0]?.path, "env");
});

test("what was sent is quoted in part only, and parameters that are no object are one problem", () => {
  const [long] = problemsOf(daemonMethods["command/list"], { limit: "9".repeat(5_000) });
  assert.equal(long?.received.length, 78);
  for (const params of [[], [1], "text", 5]) {
    const [problem] = problemsOf(daemonMethods["command/list"], params);
    assert.deepEqual([problem?.path, problem?.received], ["params", JSON.stringify(params)]);
  }
});

test("an event of the wrong shape has the error that the table has for it", () => {
  for (const definition of [daemonMethods["event/stream"], cloudMethods["event/stream"]]) {
    assert.throws(() => parseParams(definition, { event_id: "" }), { type: "event_invalid" });
  }
});

test("defaults are filled in and unknown fields are ignored", () => {
  const parsed = parseParams(execute, { command_id: "c", command: "true", unknown: 1 });
  const defaults = { args: [], stream_output: false, output_encoding: "auto", stdin: false };
  assert.deepEqual(parsed, { command_id: "c", command: "true", ...defaults });
  assert.deepEqual(parseParams(daemonMethods["system/ping"], undefined), {});
});

test("whatever is sent to any method is parsed or refused by its own error", () => {
  const definition = fc.constantFrom<MethodDefinition>(...Object.values(daemonMethods), ...Object.values(cloudMethods));
  const keys = fc.constantFrom("command_id", "command", "args", "env", "event_id", "token", "limit", "__proto__", "x");
  const params = fc.oneof(fc.jsonValue(), fc.dictionary(keys, fc.jsonValue()));
  fc.assert(
    fc.property(definition, params, (method, value) => {
      try {
        parseParams(method, value);
      } catch (error) {
        assert.ok(error instanceof HlError, String(error));
        assert.equal(error.type, method.invalidParams ?? "invalid_params");
      }
    }),
  );
});
