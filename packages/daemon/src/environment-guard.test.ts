/** Goal: X2: no variable has the daemon check less. Method: the list, and that bin/lib/run.sh has the same; tests/system/unsafe-environment.test.ts attacks. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { environmentProblem, unsafeVariables } from "./environment-guard.ts";

test("X2: variables that weaken Node or OpenSSL are named, whatever their value", () => {
  assert.equal(environmentProblem({ PATH: "/bin", HTTPS_PROXY: "http://p", NODE_COMPILE_CACHE: "x" }), undefined);
  assert.match(environmentProblem({ NODE_OPTIONS: "" }) ?? "", /^NODE_OPTIONS in the environment .* unset it,/);
  const all = Object.fromEntries(unsafeVariables.map((name) => [name, "1"]));
  for (const name of unsafeVariables) assert.ok(environmentProblem(all)?.includes(name), name);
});

test("X2: the launcher takes out the same variables", () => {
  const script = readFileSync(join(repositoryRoot, "bin/lib/run.sh"), "utf8");
  const [, names = ""] = /for variable in ([^;]+);/.exec(script) ?? [];
  assert.deepEqual(names.split(/[\s\\]+/).sort(), [...unsafeVariables].sort());
});
