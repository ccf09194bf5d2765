/**
 * Goal: a blocked program is blocked also where another one starts it in plain sight, and what only looks like it is not.
 * Method: spellings that people and agents use, then properties over any nesting of them.
 */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { judgeCommand } from "./policy.ts";

const programs = [
  "env",
  "nice",
  "nohup",
  "timeout",
  "stdbuf",
  "xargs",
  "find",
  "busybox",
  "rm",
  "sudo",
  "echo",
  "setsid",
  "time",
];

/** Answers the rule that blocks the line; undefined where it may run. */
function judge(line: readonly string[], blocked: readonly string[] = ["sudo", "rm -rf"]): string | undefined {
  using folder = temporaryFolder("hl-wrap");
  const root = realpathSync(folder.path);
  const bin = join(root, "bin");
  mkdirSync(bin);
  for (const name of programs) writeFileSync(join(bin, name), "", { mode: 0o755 });
  symlinkSync("sudo", join(bin, "harmless"));
  symlinkSync("env", join(bin, "link"));
  const [command = "", ...args] = line;
  try {
    judgeCommand({ allowed: ["*"], blocked }, { command, args, cwd: root, searchPath: bin });
    return undefined;
  } catch (error) {
    assert.ok(error instanceof HlError && error.type === "command_blocked", String(error));
    return String(error.facts["rule"]);
  }
}

const words = (text: string): string[] => text.split(" ");

describe("command policy: programs behind others", () => {
  test("a blocked program is found behind its options, values, assignments and durations", () => {
    const lines = [
      "env rm -rf /x",
      "env -i PATH=/bin A=b rm -fr /x",
      "env -u HOME -C / --unset=X --chdir / - rm -r -f /x",
      "env -- rm -rf /x",
      "link rm -rf /x",
      "nice rm -rf /x",
      "nice -n 5 rm -rf /x",
      "nice -n5 rm -rf /x",
      "nice -5 rm -rf /x",
      "nice --adj 5 rm -rf /x",
      "nohup rm -rf /x",
      "setsid -w rm -rf /x",
      "time -f %e rm -rf /x",
      "timeout 5 rm -rf /x",
      "timeout -k 1 -s KILL 5 rm -rf /x",
      "timeout --signal KILL --kill-after=1 5s rm --recursive --force /x",
      "stdbuf -oL -e 0 rm -rf /x",
      "xargs -0 -n 1 -I {} rm -rf {}",
      "xargs --replace rm -rf {}",
      "xargs --replace=% --max-lines rm -rf %",
      "xargs --max-lines=2 rm -rf",
      "xargs --process-slot-var X rm -rf",
      "xargs --process-slot-var=X --max-args 1 rm -rf",
      "xargs -i -l -e rm -rf {}",
      "xargs -in rm -rf n",
      "xargs -tl1 -rL 1 rm -rf",
      "find . -name x -exec rm -rf {} ;",
      "find . -exec echo {} ; -execdir rm -rf {} +",
      "busybox rm -rf /x",
      "env nice timeout 5 nohup rm -rf /x",
    ];
    for (const line of lines) assert.equal(judge(words(line)), "rm -rf", line);
    assert.equal(judge(["env", "-S", "rm -rf /x"]), "rm -rf");
    assert.equal(judge(["env", "-iS", "A=b 'rm' -rf", "/x"]), "rm -rf");
    assert.equal(judge(["env", "-Srm -rf /x"]), "rm -rf");
    assert.equal(judge(["env", "--split-string=-i rm -rf", "/x"]), "rm -rf");
    assert.equal(judge(["env", "harmless"]), "sudo", "a link tells its target's name");
  });

  test("what is only a value, a word or a part of it is not blocked", () => {
    const lines = [
      "env echo rm -rf /x",
      "env A=rm echo -rf",
      "env -u sudo echo",
      "timeout 5 echo sudo",
      "timeout -s sudo 5 echo",
      "nice -n sudo echo",
      "find . -name sudo",
      "find . -exec echo sudo ;",
      "find . -name rm -exec echo {} ; -name -rf",
      "xargs -I sudo echo sudo",
      "xargs --process-slot-var sudo echo",
      "xargs --replace echo sudo",
      "echo sudo rm -rf",
      "env",
      "timeout 5",
      "env -S",
      "find . -exec",
    ];
    for (const line of lines) assert.equal(judge(words(line)), undefined, line);
  });

  test("more programs than anybody needs are refused, at once, however they are arranged", () => {
    assert.equal(judge([...Array<string>(32).fill("env"), "echo"]), undefined);
    assert.equal(judge([...Array<string>(34).fill("env"), "echo"]), "undefined");
    const finds = Array.from({ length: 2_000 }, () => ["-exec", "find", ".", ";"]).flat();
    assert.equal(judge(["find", ".", ...finds]), "undefined");
    assert.equal(judge(["find", ...Array.from({ length: 5_000 }, () => ["-exec", "find"]).flat()]), "undefined");
    assert.equal(judge(["env", "-S", "-S ".repeat(40_000)]), "undefined");
  });

  test("a path among the words of an entry is the same path in every spelling", () => {
    for (const path of ["/", "//", "/.", "/etc/..", "../../../../../.."]) {
      assert.equal(judge(["rm", "-r", "-f", path], ["rm -rf /"]), "rm -rf /", path);
    }
    for (const path of ["/x", "./", "x/"]) assert.equal(judge(["rm", "-rf", path], ["rm -rf /"]), undefined, path);
  });

  test("any nesting of wrappers in any spelling hides nothing, and adds nothing to what is allowed", () => {
    const wrapper = fc.constantFrom(
      ...[
        "env",
        "env -i A=b",
        "env -u X",
        "nice -n 3",
        "nice",
        "nohup",
        "timeout 9",
        "timeout -k 1 9",
        "stdbuf -o L",
        "setsid",
        "xargs -n 2",
        "busybox",
      ],
    );
    const nest = fc.array(wrapper, { maxLength: 6 }).map((all) => all.flatMap(words));
    const file = fc.stringMatching(/^\/[a-z]{1,8}$/);
    const flags = fc.constantFrom("-rf", "-fr", "-r -f", "-v --force -R", "--recursive -f");
    fc.assert(
      fc.property(nest, flags, file, (outer, spelling, path) => {
        assert.equal(judge([...outer, "rm", ...words(spelling), path]), "rm -rf");
        assert.equal(judge([...outer, "rm", "-r", path]), undefined);
        assert.equal(judge([...outer, "echo", "rm", ...words(spelling), path]), undefined);
      }),
      { numRuns: 60 },
    );
  });
});
