/** Goal: whatever the files and the environment hold, loading answers and never throws. Method: random JSON, near and far from the truth. */
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { variableOf } from "./environment.ts";
import { defaultConfig } from "./load.ts";
import { maskSecrets } from "./mask.ts";
import { formatProblems } from "./problem.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";
import { load } from "./testing.ts";

const placed = [...keysBelow(daemonFile), ...keysBelow(securityFile)];
const value = fc.oneof(
  fc.jsonValue({ maxDepth: 3 }),
  fc.constantFrom(
    "5s",
    "10MiB",
    "${A}",
    "${B:-1}",
    "${",
    "$${",
    "__proto__",
    "",
    -1,
    1e999,
    "https://a.example",
    "1.2",
  ),
);
/** A tree with some real keys at their real places, holding anything, and some foreign ones. */
const nearTruth = fc
  .array(fc.tuple(fc.constantFrom(...placed), value, fc.option(fc.string(), { freq: 8 })), { maxLength: 8 })
  .map((settings) => {
    const tree: Record<string, unknown> = {};
    for (const [{ path }, setting, foreign] of settings) {
      let parent = tree;
      for (const name of path.slice(0, -1)) {
        const inner = parent[name];
        parent = typeof inner === "object" && inner !== null ? (inner as Record<string, unknown>) : (parent[name] = {});
      }
      parent[foreign ?? path.at(-1) ?? ""] = setting;
    }
    return tree;
  });
const content = fc.oneof(nearTruth, fc.jsonValue({ maxDepth: 6 }), fc.string());

describe("loadConfig", () => {
  it("answers with problems or a frozen configuration", () => {
    fc.assert(
      fc.property(
        content,
        content,
        content,
        content,
        fc.option(nearTruth, { nil: undefined }),
        (daemon, security, logging, endpoints, overrides) => {
          const files = {
            "daemon.json": daemon,
            "security.json": security,
            "logging.json": logging,
            "api-endpoints.json": endpoints,
          };
          const result = load(files, { env: { A: "a" }, overrides });
          if (result.ok) {
            assert.ok(Object.isFrozen(result.config.daemon.security.file_access));
            maskSecrets(result.config);
          } else {
            assert.ok(result.problems.length > 0);
            for (const problem of result.problems)
              assert.ok(problem.message !== "" && problem.file !== "" && /^(?:\/|$)/.test(problem.pointer));
            formatProblems(result.problems);
          }
        },
      ),
      { numRuns: 500 },
    );
    assert.deepEqual(({} as { polluted?: unknown }).polluted, undefined);
  });

  it("answers for any text in any variable", () => {
    const variable = fc.constantFrom(...placed.map(({ path }) => variableOf(path)));
    const text = fc.oneof(
      fc.string(),
      fc.jsonValue({ maxDepth: 3 }).map((json) => JSON.stringify(json)),
      fc.constantFrom("1e400", "-0", "[[[", "{}", "true", "NaN"),
    );
    fc.assert(
      fc.property(fc.dictionary(variable, text, { maxKeys: 4 }), (env) => {
        const result = load({}, { env });
        if (!result.ok)
          for (const problem of result.problems)
            assert.ok(problem.variable !== undefined || problem.file === "defaults", JSON.stringify(problem));
      }),
      { numRuns: 500 },
    );
  });

  // Goal: a configuration that was loaded can be written down and loaded again. Method: the default trees as files.
  it("loads its own output", () => {
    const { daemon, security } = defaultConfig("/srv/hl");
    const result = load({ "daemon.json": daemon, "security.json": security });
    assert.ok(result.ok);
    assert.deepEqual(result.config.daemon, daemon);
    assert.deepEqual(result.config.security, security);
  });
});
