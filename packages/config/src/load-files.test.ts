/** Files as they are on a disk: missing, broken, huge, of another kind. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { defaultConfig, loadConfig, type LoadOptions } from "./load.ts";
import type { Problem } from "./problem.ts";
import { accepted, refused, short } from "./testing.ts";

const home = mkdtempSync(join(tmpdir(), "hl-config-"));
after(() => rmSync(home, { recursive: true }));

const onDisk = (options: Partial<LoadOptions> = {}): readonly Problem[] => {
  const result = loadConfig({ home, env: {}, ...options });
  return result.ok ? [] : result.problems;
};

describe("files on disk", () => {
  it("may be missing in their default places", () => assert.deepEqual(onDisk(), []));

  it("must exist where they are asked for", () => {
    const files = { daemon: join(home, "no.json"), security: join(home, "no-security.json") };
    assert.deepEqual(
      onDisk({ files }).map(({ file, message }) => [file, message]),
      [
        [files.daemon, "does not exist"],
        [files.security, "does not exist"],
      ],
    );
  });

  it("security.json is looked for beside daemon.json", () => {
    const folder = join(home, "elsewhere");
    mkdirSync(folder);
    writeFileSync(join(folder, "daemon.json"), "{}");
    writeFileSync(join(folder, "security.json"), '{"authentication": {"jwt": {"issuer": ""}}}');
    const [problem] = onDisk({ files: { daemon: join(folder, "daemon.json") } });
    assert.deepEqual([problem?.file, problem?.pointer], [join(folder, "security.json"), "/authentication/jwt/issuer"]);
  });

  const daemon = join(home, "daemon.json");
  const cases: [string, () => void, RegExp][] = [
    ["a directory", () => mkdirSync(daemon), /is a directory/],
    ["empty", () => writeFileSync(daemon, " \n"), /is empty/],
    ["not UTF-8", () => writeFileSync(daemon, Buffer.from([0x7b, 0xff, 0xfe, 0x7d])), /not UTF-8/],
    ["UTF-16", () => writeFileSync(daemon, Buffer.from("\uFEFF{}", "utf16le")), /not UTF-8/],
    ["with a byte order mark", () => writeFileSync(daemon, "\uFEFF{}"), /byte order mark/],
    ["larger than 1 MiB", () => writeFileSync(daemon, `{"// a": "${"x".repeat(2 ** 20)}"}`), /larger than 1 MiB/],
    ["a device", () => symlinkSync("/dev/zero", daemon), /not a regular file/],
    ["a pipe without a writer", () => execFileSync("mkfifo", [daemon]), /not a regular file/],
    ["a link to itself", () => symlinkSync(daemon, daemon), /too many symbolic links/],
    ["no object", () => writeFileSync(daemon, "[]"), /must be an object/],
    ["only null", () => writeFileSync(daemon, "null"), /must be an object/],
  ];
  for (const [name, make, message] of cases)
    it(`${name}: one clear problem`, () => {
      make();
      const problems = onDisk({ files: { daemon } });
      rmSync(daemon, { recursive: true });
      assert.equal(problems.length, 1);
      assert.match(problems[0]?.message ?? "", message);
    });

  it("that may not be read, or fail while they are read, say so", () => {
    for (const [code, message] of [
      ["EACCES", "cannot be read: permission denied"],
      ["EIO", "cannot be read: disk on fire"],
    ] as const) {
      const readFile = (): never => {
        throw Object.assign(new Error("disk on fire"), { code });
      };
      assert.equal(onDisk({ readFile })[0]?.message, message);
    }
  });

  it("exactly 1 MiB is read", () => {
    const text = `{"// a": "${"x".repeat(2 ** 20 - 12)}"}`;
    assert.equal(text.length, 2 ** 20);
    accepted({ "daemon.json": text });
    assert.match(short(refused({ "daemon.json": `${text} ` }))[0] ?? "", /larger than 1 MiB/);
  });
});

describe("JSON", () => {
  it("errors have line and column, and the other files are still judged", () => {
    const problems = refused({ "daemon.json": '{\n  "logging": {,}\n}', "security.json": { authentification: {} } });
    assert.deepEqual(
      problems.map(({ line, column, suggestion }) => [line, column, suggestion]),
      [
        [2, 15, undefined],
        [1, 21, 'did you mean "authentication"?'],
      ],
    );
  });
  it("duplicate keys are problems, though JSON.parse hides them", () => {
    assert.deepEqual(short(refused({ "daemon.json": '{"logging": {"level": "INFO", "level": "DEBUG"}}' })), [
      '/logging/level: has the key "level" twice; only one can be meant',
    ]);
  });
  it("a file full of problems does not drown the reader", () => {
    const many = Object.fromEntries(Array.from({ length: 5000 }, (_, index) => [`k${index}`, 1]));
    const problems = refused({ "daemon.json": many, "security.json": { x: 1 } });
    assert.equal(problems.length, 102);
    assert.match(short(problems)[100] ?? "", /4900 more/);
  });
  it("the defaults come out whatever the disk holds", () => assert.equal(defaultConfig(home).home, home));
});
