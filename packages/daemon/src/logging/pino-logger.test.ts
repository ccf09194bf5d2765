/** Goal: X4, S4: no secret gets into the log by any way, nothing that is logged throws, and every key of `logging` does what it says. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Redactor } from "../redaction/redactor.ts";
import { Secrets } from "../redaction/secrets.ts";
import { openLog, type LogSettings, type OpenLog } from "./pino-logger.ts";

interface World extends Disposable {
  readonly log: OpenLog;
  readonly secrets: Secrets;
  readonly clock: ManualClock;
  readonly folder: string;
  text(): string;
  lines(): Record<string, unknown>[];
}

function world(settings: Partial<LogSettings> = {}): World {
  const stack = new DisposableStack();
  const folder = stack.use(temporaryFolder("hl-log")).path;
  const clock = new ManualClock();
  const secrets = new Secrets(clock);
  const file = join(folder, "logs/daemon.log");
  const log = openLog(
    {
      ...{ level: "INFO", levels: {}, output: "file", file, format: "json", structured_logging: true },
      ...{ max_size: 1_000_000, backup_count: 5, compression: true },
      log_rotation: { enabled: true, frequency: "daily", retention_days: 7 },
      ...settings,
    },
    { clock, redactor: new Redactor(secrets), base: { service: "hl-daemon", pid: 1 } },
  );
  stack.defer(() => log.close());
  const text: World["text"] = () => {
    log.flushSync();
    return existsSync(file) ? readFileSync(file, "utf8") : "";
  };
  const lines: World["lines"] = () =>
    text()
      .trimEnd()
      .split("\n")
      .map((line) => JSON.parse(line));
  return { log, secrets, clock, folder, text, lines, [Symbol.dispose]: () => stack.dispose() };
}

const secret = 'S3cr3t/"value"';

describe("the log", () => {
  test("X4: a secret is in no line: message, fields, keys, parents, errors, deep and odd values, in json and in text", () => {
    for (const settings of [
      {},
      { structured_logging: false },
      { format: "text" },
      { format: "text", structured_logging: false },
    ] as const) {
      using w = world(settings);
      const { logger } = w.log;
      const early = logger.child({ part: "early", url: `x://u:${secret}@h` }); // Made before anybody knows the secret.
      w.secrets.holdOwn("o", { A_TOKEN: secret });
      const error = new Error(`failed on ${secret}`, { cause: new Error(secret) });
      early.info({}, "a parent's field");
      logger.warn({ text: secret, [secret]: 1, list: [{ deep: secret }] }, `in the message: ${secret}`);
      logger.error(
        { err: error, error, nested: { err: error }, url: new URL(`http://h/?q=${encodeURIComponent(secret)}`) },
        "errors",
      );
      logger.info({ json: JSON.stringify({ secret }), base64: Buffer.from(secret).toString("base64") }, "encoded");
      logger
        .child({ [secret]: secret })
        .child({ x: secret })
        .info({ toJSON: () => secret }, "children");
      const text = w.text();
      assert.equal(text.trimEnd().split("\n").length, 5, text);
      for (const form of [secret, JSON.stringify(secret).slice(1, -1), encodeURIComponent(secret), "UzNjcjN0LyJ2YWx1"])
        assert.ok(!text.includes(form), `${form} in ${text}`);
      assert.match(text, /\[redacted:A_TOKEN\]/);
    }
  });

  test("X4: what a name calls a secret is hidden, known or not, at any depth", () => {
    for (const settings of [{}, { structured_logging: false }, { format: "text" }] as const) {
      using w = world(settings);
      w.log.logger.info(
        { token: "unknown-1", a: { b: { authorization: "unknown-2" } }, list: [{ password: "unknown-3" }] },
        "x",
      );
      assert.ok(!/unknown-\d/.test(w.text()), w.text());
    }
  });

  test("S4: what is no JSON is logged as well as it can be, and throws nothing", () => {
    using w = world();
    const cycle: Record<string, unknown> = {};
    cycle["self"] = cycle;
    const throws = {
      toJSON: () => {
        throw new Error("no");
      },
    };
    const getter = {
      get x(): never {
        throw new Error("no");
      },
    };
    for (const fields of [
      { cycle },
      { throws },
      { getter },
      { big: 1n },
      { f: () => {} },
      { u: undefined },
      { bytes: new Uint8Array(3) },
      { s: Symbol("s") },
    ])
      w.log.logger.info(fields, "odd");
    assert.equal(w.lines().length, 8);
  });

  test("level and levels: of the part that a line belongs to, and changeable for every child at once", () => {
    using w = world({ level: "WARN", levels: { cloud: "DEBUG", audit: "ERROR" } });
    const say = (): void => {
      for (const part of [undefined, "cloud", "audit"]) {
        const logger = part === undefined ? w.log.logger : w.log.logger.child({ part });
        for (const level of ["debug", "info", "warn", "error"] as const) logger[level]({}, `${part}-${level}`);
      }
    };
    say();
    const said = (): unknown[] => w.lines().map(({ msg }) => msg);
    const first = [
      "undefined-warn",
      "undefined-error",
      "cloud-debug",
      "cloud-info",
      "cloud-warn",
      "cloud-error",
      "audit-error",
    ];
    assert.deepEqual(said(), first);
    w.log.setLevels({ level: "FATAL", levels: { audit: "INFO" } });
    say();
    assert.deepEqual(said(), [...first, "audit-info", "audit-warn", "audit-error"]);
  });

  test("logs of parts: their lines at a level of their own, whatever the daemon's is; X4: without secrets", () => {
    const folder = temporaryFolder("hl-log-parts");
    const file = (name: string): string => join(folder.path, `${name}.log`);
    const part = (name: string, level = "DEBUG", enabled = true) => ({ enabled, level, file: file(name) });
    const files = {
      ...{ api_requests: part("api"), events: part("events", "WARN"), claude_stdio: part("claude", "DEBUG", false) },
      ...{ health: part("health"), recovery: part("recovery") },
    };
    using w = world({ level: "ERROR", files });
    w.secrets.hold("a", { A_TOKEN: secret });
    for (const name of ["api", "events", "claude", "cloud"]) {
      const logger = w.log.logger.child({ part: name });
      logger.debug({ secret_in: `has ${secret}` }, "d");
      logger.error({}, "e");
    }
    assert.deepEqual(
      w.lines().map(({ part, msg }) => [part, msg]),
      ["api", "events", "claude", "cloud"].map((name) => [name, "e"]),
    );
    const said = (name: string): string[] => readFileSync(file(name), "utf8").trimEnd().split("\n");
    assert.deepEqual(
      said("api").map((line) => JSON.parse(line).msg),
      ["d", "e"],
    );
    assert.ok(!said("api")[0]!.includes("S3cr3t"));
    assert.equal(said("events").length, 1);
    assert.ok(!existsSync(file("claude")) && !existsSync(file("health")));
    folder[Symbol.dispose]();
  });

  test("format text: one line for people, and nobody forges a second", () => {
    using w = world({ format: "text" });
    w.log.logger.child({ part: "cloud" }).warn({ a: "x y", b: 1, c: "plain", d: "\u001b[2J\nforged" }, "said\nforged");
    assert.equal(
      w.text(),
      '1970-01-01T00:00:00.000Z WARN  hl-daemon[1] [cloud] said\\u000aforged a="x y" b=1 c=plain d="\\u001b[2J\\nforged"\n',
    );
  });

  test("structured_logging false: facts are words of the message", () => {
    using w = world({ structured_logging: false });
    w.log.logger.child({ part: "cloud" }).info({ a: "x y", b: 1 }, "said");
    const { msg, part, ...rest } = w.lines()[0] ?? {};
    assert.deepEqual([msg, part], ['said a="x y" b=1', "cloud"]);
    assert.deepEqual(Object.keys(rest).sort(), ["level", "pid", "service", "time"]);
  });

  test("max_size, backup_count, compression: rotated, packed, and so many kept", async () => {
    using w = world({ max_size: 4_096, backup_count: 2 });
    for (let at = 0; at < 100; at += 1) w.log.logger.info({ at, filling: "x".repeat(200) }, "line");
    const names = (): string[] => readdirSync(join(w.folder, "logs")).sort();
    await until("the packing", () => names().every((name) => !/\.\d+$|tmp$/.test(name)) && names().length === 3);
    assert.equal(names().filter((name) => name.endsWith(".gz")).length, 2);
    using plain = world({ max_size: 4_096, compression: false });
    for (let at = 0; at < 30; at += 1) plain.log.logger.info({ at, filling: "x".repeat(200) }, "line");
    await until("the file", () => existsSync(join(plain.folder, "logs/daemon.log.1")));
  });

  test("log_rotation: by its frequency where it is enabled", async () => {
    for (const [enabled, frequency, count] of [
      [true, "hourly", 2],
      [true, "daily", 1],
      [false, "hourly", 1],
    ] as const) {
      using w = world({ log_rotation: { enabled, frequency, retention_days: 7 }, compression: false });
      w.log.logger.info({}, "one");
      const file = join(w.folder, "logs/daemon.log");
      await until("the first", () => existsSync(file) && readFileSync(file, "utf8").includes("one"));
      await w.clock.advance(3_600_000);
      w.log.logger.info({}, "two");
      await until("the second", () => readFileSync(file, "utf8").includes("two"));
      assert.equal(readdirSync(join(w.folder, "logs")).length, count, `${enabled} ${frequency}`);
    }
  });

  test("log_rotation: rotated files over their age are removed", async () => {
    for (const [retention_days, stays] of [
      [2, false],
      [30, true],
    ] as const) {
      const days = { log_rotation: { enabled: true, frequency: "daily", retention_days } } as const;
      using w = world({ ...days, compression: false });
      await w.clock.advance(10 * 86_400_000);
      mkdirSync(join(w.folder, "logs"));
      const old = join(w.folder, "logs/daemon.log.1");
      writeFileSync(old, "of before\n");
      utimesSync(old, 0, 0);
      w.log.logger.info({}, "one");
      await until("the line", () => existsSync(join(w.folder, "logs/daemon.log")));
      assert.equal(existsSync(old), stays, `${retention_days} days`);
    }
  });

  test("S4: a log that cannot be written says so and goes on when it can", async () => {
    using w = world();
    writeFileSync(join(w.folder, "logs"), "no folder");
    w.log.logger.info({}, "waits");
    await until("the trouble", () => w.log.trouble() !== undefined);
  });
});
