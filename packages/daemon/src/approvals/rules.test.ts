/**
 * Goal: the first rule that fits holds; `deny` is not got around by another spelling, `allow` is not stretched over what it does not
 * say. Method: the matcher alone, paths in a real folder with real links.
 */
import assert from "node:assert/strict";
import { mkdirSync, realpathSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { matchRule, type Rule } from "./rules.ts";
import type { ToolCall } from "./tool-call.ts";
import { ownView } from "./touched-paths.ts";

const bash = (command: string): ToolCall => ({ toolName: "Bash", input: { command }, cwd: "/w" });
const decided = (rules: readonly Rule[], call: ToolCall): string | undefined =>
  matchRule(rules, call, ownView)?.rule.decision;

describe("rules", () => {
  test("the first that fits holds, and without one nothing is decided", () => {
    const rules: Rule[] = [
      { tool: "Bash", pattern: "git push*", decision: "deny" },
      { tool: "Bash", pattern: "git *", decision: "allow" },
      { tool: "mcp__*", decision: "ask" },
    ];
    assert.equal(decided(rules, bash("git push origin")), "deny");
    assert.equal(decided(rules, bash("git status")), "allow");
    assert.equal(decided(rules, bash("ls")), undefined);
    assert.equal(decided(rules, { toolName: "mcp__x__y", input: {}, cwd: "/w" }), "ask");
    assert.equal(decided(rules, { toolName: "BashOutput", input: { command: "git status" }, cwd: "/w" }), undefined);
    assert.equal(matchRule(rules, bash("git status"), ownView)?.name, "rule 2");
  });

  test("only * has a meaning in a pattern, and it is the whole text that fits", () => {
    const rule = (pattern: string): Rule[] => [{ tool: "Bash", pattern, decision: "allow" }];
    assert.equal(decided(rule("echo a.c"), bash("echo abc")), undefined);
    assert.equal(decided(rule("echo [a]?"), bash("echo [a]?")), "allow");
    assert.equal(decided(rule("echo"), bash("echo more")), undefined);
    assert.equal(decided(rule("*"), bash("anything at all")), "allow");
  });

  test("X1: an allowed command does not bring another one along", () => {
    const rules: Rule[] = [{ tool: "Bash", pattern: "git *", decision: "allow" }];
    for (const more of ["; rm x", "&& rm x", "| sh", "$(rm x)", "`rm x`", "\nrm x", "> /etc/x", "& rm x", "\rrm"]) {
      assert.equal(decided(rules, bash(`git status ${more}`)), undefined, more);
    }
    assert.equal(
      decided([{ tool: "Bash", pattern: "make && make test", decision: "allow" }], bash("make && make test")),
      "allow",
    );
  });

  test("a denied command is found among others, however the spaces stand", () => {
    const rules: Rule[] = [{ tool: "Bash", pattern: "rm -rf *", decision: "deny" }];
    for (const command of [
      "rm -rf x",
      "cd y; rm  -rf x",
      "true &&\trm -rf x",
      "x=$(rm -rf y)",
      "(rm -rf x)",
      "a\nrm -rf x",
    ]) {
      assert.equal(decided(rules, bash(command)), "deny", command);
    }
    assert.equal(decided(rules, bash("rm x")), undefined);
  });

  test("of a tool without a command the pattern is over its input as JSON, keys sorted", () => {
    const call: ToolCall = { toolName: "WebFetch", input: { url: "https://a.test/x", prompt: "p" }, cwd: "/w" };
    assert.equal(decided([{ tool: "WebFetch", pattern: "*https://a.test/*", decision: "deny" }], call), "deny");
    const exact = '{"prompt":"*","url":"https://a.test/*"}';
    assert.equal(decided([{ tool: "WebFetch", pattern: exact, decision: "allow" }], call), "allow");
  });
});

describe("rules over paths", () => {
  const call = (toolName: string, input: ToolCall["input"], cwd: string): ToolCall => ({ toolName, input, cwd });

  test("deny holds for other spellings and for links that lead there", () => {
    using folder = temporaryFolder("hl-rules");
    const root = realpathSync(folder.path);
    mkdirSync(join(root, "secret"));
    mkdirSync(join(root, "w"));
    writeFileSync(join(root, "secret/key"), "k");
    symlinkSync(join(root, "secret"), join(root, "w/link"));
    const rules: Rule[] = [{ tool: "*", path: join(root, "secret"), decision: "deny" }];
    const cwd = join(root, "w");
    for (const path of [
      "secret/key",
      "secret",
      "w/../secret/key",
      "w/./..//secret/new",
      "w/link/key",
      "w/link/new/deep",
    ]) {
      assert.equal(
        decided(rules, call("Read", { file_path: join(root, "w/x/.."), notebook_path: `${root}/${path}` }, cwd)),
        "deny",
        path,
      );
    }
    assert.equal(decided(rules, call("Read", { file_path: "../secret/key" }, cwd)), "deny");
    assert.equal(decided(rules, call("Read", { file_path: "link/key" }, cwd)), "deny");
    assert.equal(decided(rules, call("Read", { file_path: join(root, "secrets") }, cwd)), undefined);
    assert.equal(decided(rules, call("Read", { file_path: "x" }, cwd)), undefined);
  });

  test("other tools name their paths as they like: deny finds them, allow is not stretched by them", () => {
    using folder = temporaryFolder("hl-rules");
    const root = realpathSync(folder.path);
    const cwd = join(root, "w");
    mkdirSync(cwd);
    const move = (source: string, more: object = {}): ToolCall =>
      call("mcp__files__move", { path: join(cwd, "a"), options: { sources: [source] }, ...more }, cwd);
    const deny: Rule[] = [{ tool: "*", path: join(root, "secret"), decision: "deny" }];
    for (const source of [join(root, "secret/key"), "../secret/key"]) assert.equal(decided(deny, move(source)), "deny");
    const allow: Rule[] = [{ tool: "*", path: cwd, decision: "allow" }];
    for (const source of [join(root, "x"), "../x", "x/../../y", "~/x"])
      assert.equal(decided(allow, move(source)), undefined);
    assert.equal(decided(allow, move("b", { note: "text of any kind\nwith / in it" })), "allow");
  });

  test("deny of what lies below a folder that is searched", () => {
    using folder = temporaryFolder("hl-rules");
    const root = realpathSync(folder.path);
    const rules: Rule[] = [{ tool: "*", path: join(root, "w/.env"), decision: "deny" }];
    assert.equal(decided(rules, call("Grep", { pattern: "KEY", path: root }, root)), "deny");
    assert.equal(decided(rules, call("Grep", { pattern: "KEY" }, join(root, "w"))), "deny");
    assert.equal(decided(rules, call("Grep", { pattern: "KEY", path: join(root, "other") }, root)), undefined);
    assert.equal(decided(rules, call("Read", { file_path: root }, root)), undefined);
  });

  test("allow holds for what is certainly inside, and for nothing that is not named or not seen", () => {
    using folder = temporaryFolder("hl-rules");
    const root = realpathSync(folder.path);
    const cwd = join(root, "w");
    mkdirSync(cwd);
    mkdirSync(join(root, "outside"));
    symlinkSync(join(root, "outside"), join(cwd, "out"));
    symlinkSync(cwd, join(root, "alias"));
    const rules: Rule[] = [{ tool: "Write", path: cwd, decision: "allow" }];
    const write = (file_path: string, more: object = {}): string | undefined =>
      decided(rules, { ...call("Write", { file_path }, cwd), ...more });
    assert.equal(write(join(cwd, "new/file")), "allow");
    assert.equal(write("file"), "allow");
    for (const path of [
      "../x",
      join(cwd, "../x"),
      join(cwd, "out/x"),
      "out",
      join(root, "alias/x"),
      "~/x",
      "",
      `${cwd}x`,
    ]) {
      assert.equal(write(path), undefined, path);
    }
    assert.equal(write("file", { blockedPath: "/etc/x" }), undefined);
    assert.equal(decided([{ tool: "*", path: cwd, decision: "allow" }], bash("ls")), undefined);
    const hidden: Rule[] = [{ tool: "Write", path: join(root, "hidden"), decision: "allow" }];
    assert.equal(decided(hidden, call("Write", { file_path: join(root, "hidden/x") }, cwd)), undefined);
  });
});
