/** Goal: no test makes the runner touch memory it should not, and no bytes the parser. Method: every other test file again with the sanitizer build, and the fuzz driver with a fixed seed. */
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";

const folder = join(import.meta.dirname, "..");
const make = (target: string): boolean =>
  spawnSync("make", ["-s", "-C", folder, target], { stdio: "ignore" }).status === 0;
const skip = process.env["HL_RUNNER_BIN"] === undefined ? false : "another binary was asked for";
const INPUTS = "300000";

test("the whole suite passes with the address and undefined-behaviour sanitizers", { skip }, (context) => {
  const binary = join(folder, "build/hl-runner-asan");
  if (!make("asan") && !existsSync(binary)) {
    context.skip("no compiler with sanitizers here");
    return;
  }
  const environment: NodeJS.ProcessEnv = { ...process.env, HL_RUNNER_BIN: binary };
  /* Otherwise the inner run would report to the outer one's runner instead of to us. */
  delete environment["NODE_TEST_CONTEXT"];
  const files = readdirSync(import.meta.dirname).filter(
    (name) => name.endsWith(".test.ts") && name !== "sanitizers.test.ts",
  );
  const inner = spawnSync(process.execPath, ["--test", ...files.map((name) => join(import.meta.dirname, name))], {
    env: environment,
    encoding: "utf8",
  });
  assert.equal(inner.status, 0, inner.stdout.slice(-8000) + inner.stderr.slice(-2000));
});

test("the parser takes any bytes", { skip }, (context) => {
  const binary = join(folder, "build/hl-runner-fuzz");
  if (!make("fuzz") && !existsSync(binary)) {
    context.skip("no compiler with sanitizers here");
    return;
  }
  /* libFuzzer takes its own words; the standalone driver a seed and a count. */
  const own = spawnSync(binary, ["-help=1"], { encoding: "utf8" });
  const words =
    own.stderr.includes("libFuzzer") || own.stdout.includes("libFuzzer")
      ? [`-runs=${INPUTS}`, "-seed=1"]
      : ["1", INPUTS];
  const fuzzed = spawnSync(binary, words, { encoding: "utf8" });
  assert.equal(fuzzed.status, 0, fuzzed.stderr.slice(-4000));
});
