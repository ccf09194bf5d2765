/**
 * Goal: both lists are judged by the program that would really run, and no spelling leads around a blocked entry.
 * Method: attacks with real files, links and PATHs, one test for each kind.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import fc from "fast-check";
import { judgeCommand, type CommandLine, type CommandPolicy } from "./policy.ts";

interface Machine extends Disposable {
  readonly bin: string;
  readonly workspace: string;
  judge(policy: Partial<CommandPolicy>, command: string, line?: Partial<CommandLine>): string;
}

/** A folder of programs that PATH leads to, and a workspace beside it. */
function machine(...programs: string[]): Machine {
  const folder = temporaryFolder("hl-policy");
  const root = realpathSync(folder.path);
  const [bin, workspace] = [join(root, "bin"), join(root, "workspace")];
  for (const path of [bin, workspace]) mkdirSync(path);
  for (const name of programs) writeFileSync(join(bin, name), "", { mode: 0o755 });
  return {
    bin,
    workspace,
    judge: ({ allowed = [], blocked = [] }, command, line = {}) =>
      judgeCommand({ allowed, blocked }, { command, args: [], cwd: workspace, searchPath: bin, ...line }).executable,
    [Symbol.dispose]: () => folder[Symbol.dispose](),
  };
}

function refuses(run: () => unknown, type: ErrorType, ...quoted: string[]): void {
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof HlError, `not an HlError: ${String(error)}`);
    assert.equal(error.type, type, error.message);
    for (const text of quoted) assert.ok(error.message.includes(text), `${text} is not in: ${error.message}`);
    return true;
  });
}

describe("command policy: the lists", () => {
  test("an allowed name is found through PATH; the rest of PATH, relative folders and other names are not", () => {
    using m = machine("git", "vim");
    assert.equal(m.judge({ allowed: ["git"] }, "git"), join(m.bin, "git"));
    assert.equal(m.judge({ allowed: ["git"] }, "git", { searchPath: `/missing:${m.bin}` }), join(m.bin, "git"));
    refuses(() => m.judge({ allowed: ["git"] }, "vim"), "command_not_allowed", '"vim"', "allowed_commands");
    refuses(() => m.judge({ allowed: ["git"] }, "git", { searchPath: "bin:." }), "command_not_found", '"git"');
    refuses(() => m.judge({}, "git"), "command_not_allowed", '"git"');
    assert.equal(m.judge({ allowed: ["*"] }, "vim"), join(m.bin, "vim"));
  });

  test("blocked comes first, by the name that was asked for and by the file that it leads to", () => {
    using m = machine("git", "sudo");
    const policy = { allowed: ["*", "git", "ls"], blocked: ["sudo"] };
    symlinkSync(join(m.bin, "sudo"), join(m.workspace, "git"));
    symlinkSync(join(m.workspace, "git"), join(m.bin, "ls")); // A link to a link.
    symlinkSync(join(m.bin, "git"), join(m.workspace, "sudo"));
    for (const command of ["sudo", join(m.bin, "sudo"), "./git", "ls", "../bin/./sudo", "./sudo", "../bin/sudo/"]) {
      refuses(() => m.judge(policy, command), "command_blocked", JSON.stringify(command), "blocked", '"sudo"');
    }
    // The caller's PATH leads an allowed name to it.
    refuses(() => m.judge(policy, "git", { searchPath: m.workspace }), "command_blocked");
    assert.equal(m.judge(policy, "git"), join(m.bin, "git"));
  });

  test("a path that ends as the path of a folder leads to no file", () => {
    using m = machine("git");
    for (const ending of ["/", "//", "/.", "/x/.."]) {
      const command = `${join(m.bin, "git")}${ending}`;
      refuses(() => m.judge({ allowed: ["*"] }, command), "command_not_found", JSON.stringify(command), "not a file");
    }
    assert.equal(m.judge({ allowed: ["*"] }, `${m.bin}//./git`), join(m.bin, "git"));
  });

  test("a blocked entry holds whatever spaces or folder it is written with", () => {
    using m = machine("sudo");
    for (const rule of [" sudo", "sudo ", "/usr/bin/sudo", "\tsudo"]) {
      refuses(() => m.judge({ allowed: ["*"], blocked: [rule] }, "sudo"), "command_blocked");
    }
  });

  test("a path is allowed by the name of its real file, or when an allowed name stands for the same file", () => {
    using m = machine("python3.11", "vim");
    symlinkSync("python3.11", join(m.bin, "python3"));
    const policy = { allowed: ["python3"] };
    assert.equal(m.judge(policy, "python3"), join(m.bin, "python3")); // By the name it was called, not its target's.
    assert.equal(m.judge(policy, join(m.bin, "python3")), join(m.bin, "python3"));
    assert.equal(m.judge(policy, join(m.bin, "python3.11")), join(m.bin, "python3.11"));
    assert.equal(m.judge(policy, "../bin/python3.11"), join(m.bin, "python3.11"));
    refuses(() => m.judge(policy, "python3.11"), "command_not_allowed", '"python3.11"');
    // A link with an allowed name does not make its target allowed.
    symlinkSync(join(m.bin, "vim"), join(m.workspace, "python3"));
    refuses(() => m.judge(policy, "./python3"), "command_not_allowed", '"./python3"');
    // A script that has an allowed name is judged by it (DESIGN.md 3.5): it can do what `python3 SCRIPT` can.
    writeFileSync(join(m.workspace, "git"), "", { mode: 0o755 });
    assert.equal(m.judge({ allowed: ["git"] }, "./git"), join(m.workspace, "git"));
  });
});

describe("command policy: entries of several words", () => {
  const blocks = (rule: string, args: string): boolean => {
    using m = machine(rule.split(" ")[0]!);
    try {
      m.judge({ allowed: ["*"], blocked: [rule] }, rule.split(" ")[0]!, { args: args.split(" ") });
      return false;
    } catch (error) {
      assert.ok(error instanceof HlError && error.type === "command_blocked", String(error));
      assert.match(error.message, /blocked by the rule/);
      return true;
    }
  };

  test("flags match in every spelling that the programs themselves take", () => {
    const spellings = [
      "-rf /x",
      "-fr /x",
      "-Rf /x",
      "-r -f /x",
      "-f /x -r",
      "-vrif /x",
      "--recursive --force /x",
      "/x --force --recursive",
      "-r --force /x",
      "--recursive -f /x",
      "--recurs --forc /x",
      "--r --f /x",
      "-rf -- /x",
      "/a /b -r /c -f",
    ];
    for (const args of spellings) {
      for (const rule of ["rm -rf", "rm -f -r", "rm --recursive --force"]) {
        assert.ok(blocks(rule, args), `"${rule}" lets "${args}" pass`);
      }
    }
  });

  test("less than the entry is not the entry, and what follows -- is no flag", () => {
    for (const args of ["-r /x", "-f /x", "--recursive /x", "--force", "/rf", "-- -rf", "-r -- -f", "--verbose -r"]) {
      assert.ok(!blocks("rm -rf", args), args);
    }
  });

  test("plain words match in their order, also with options and their values between them", () => {
    for (const args of ["push", "push origin", "--no-pager push", "-C /x push", "-c a=b push"]) {
      assert.ok(blocks("git push", args), args);
    }
    for (const args of ["pull", "pushed", "--push"]) assert.ok(!blocks("git push", args), args);
    assert.ok(blocks("git push --force", "-C /x push -f"));
    assert.ok(!blocks("git push --force", "push"));
    assert.ok(blocks("chmod -R 777", "777 -R /"));
    assert.ok(!blocks("docker run image", "image run"));
  });
});

describe("command policy: what a command may be", () => {
  test("metacharacters and control characters are refused before anything is looked up", () => {
    using m = machine("git");
    const odd = [
      "git;id",
      "git|id",
      "git&",
      "$(id)",
      "`id`",
      "a>b",
      "a<b",
      "a*",
      "a?",
      "a[b]",
      "{a}",
      "a'b",
      'a"b',
      "a\\b",
    ];
    for (const command of [
      ...odd,
      "~/git",
      "git#",
      "!git",
      "git\0",
      "git\nid",
      "git\t",
      "git\u007f",
      "git\u0085",
      "./git\0x",
    ]) {
      refuses(
        () => m.judge({ allowed: ["*", command] }, command),
        "command_blocked",
        "blocked",
        JSON.stringify(command),
      );
    }
    for (const command of ["git status", " git", "git "]) {
      refuses(
        () => m.judge({ allowed: ["*"] }, command),
        "command_blocked",
        "blocked",
        JSON.stringify(command),
        '"args"',
      );
    }
    mkdirSync(join(m.workspace, "my tools"));
    writeFileSync(join(m.workspace, "my tools/g++"), "", { mode: 0o755 });
    assert.equal(m.judge({ allowed: ["g++"] }, "my tools/g++"), join(m.workspace, "my tools/g++"));
  });

  test("what is no executable file is not found, and never something else", () => {
    using m = machine("git");
    mkdirSync(join(m.bin, "folder"));
    writeFileSync(join(m.bin, "text"), "");
    chmodSync(join(m.bin, "text"), 0o644);
    symlinkSync("/missing", join(m.bin, "dangling"));
    symlinkSync("loop", join(m.bin, "loop"));
    const names = ["", ".", "..", "folder", "text", "dangling", "loop", "missing", "x".repeat(5_000)];
    const paths = [
      "/",
      "./",
      "../",
      "./.",
      "../bin",
      "../bin/text",
      "../bin/loop",
      "/missing/git",
      "../bin/git/x",
      "a/".repeat(3_000),
    ];
    for (const command of [...names, ...paths]) {
      refuses(() => m.judge({ allowed: ["*"] }, command), "command_not_found", JSON.stringify(command));
      refuses(() => m.judge({ allowed: ["vim"] }, command), "command_not_allowed", JSON.stringify(command));
    }
  });

  test("no input throws anything but an HlError, and what passes is an absolute path", () => {
    using m = machine("git", "rm");
    symlinkSync(join(m.bin, "rm"), join(m.workspace, "link"));
    const piece = fc.constantFrom(
      "git",
      "rm",
      "link",
      "/",
      "./",
      "..",
      " ",
      "\0",
      ";",
      "-rf",
      "\ud800",
      "é",
      "~",
      m.bin,
    );
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.array(piece, { maxLength: 5 }).map((parts) => parts.join("")),
    );
    const texts = fc.array(text, { maxLength: 4 });
    const searchPath = fc.oneof(fc.constant(m.bin), text);
    fc.assert(
      fc.property(text, texts, texts, texts, searchPath, (command, args, allowed, blocked, path) => {
        try {
          const found = m.judge({ allowed: [...allowed, "git"], blocked }, command, { args, searchPath: path });
          assert.ok(found.startsWith("/"), found);
        } catch (error) {
          assert.ok(error instanceof HlError, String(error));
        }
      }),
      { numRuns: 2_000 },
    );
  });
});
