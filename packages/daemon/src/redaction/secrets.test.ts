/**
 * Goal: X4: a value is looked for as long as somebody has it, and an hour longer; what does not fit is refused (X2). Method: time by hand.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { HlError } from "@hl/protocol/errors.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { Secrets, secretsBytesMax, secretsMax } from "./secrets.ts";
import { secretVariables } from "./secret-variables.ts";

const hourMs = 3_600_000;
const isFull = (error: unknown): boolean => error instanceof HlError && error.type === "process_limit";
const isKnown = (secrets: Secrets, value: string): boolean => secrets.search()?.spansIn(value) !== undefined;
const many = (count: number, from = 0): Record<string, string> =>
  Object.fromEntries(Array.from({ length: count }, (_, at) => [`KEY_${from + at}`, `value-${from + at}`]));

describe("secrets", () => {
  test("by name: words of secrets anywhere in it; by value: passwords in URLs", () => {
    const names = (variables: Record<string, string>): string[] => secretVariables(variables).map(({ name }) => name);
    const secret = [
      "API_KEY",
      "apiKey",
      "GITHUB_TOKEN",
      "db_password",
      "PASSWD",
      "MY_SECRETS",
      "AWS_CREDENTIALS",
      "SESSION_COOKIE",
      "NPM_AUTH",
      "GH_PAT",
    ];
    assert.deepEqual(names(Object.fromEntries(secret.map((name) => [name, "x"]))), secret);
    assert.deepEqual(
      names({ PATH: "/bin", PWD: "/", HOME: "/", SSH_AUTH_SOCK: "/s", PATTERN: "x", URL: "http://a:80/b@c" }),
      [],
    );
    const url = "postgres://me:pass%20word@db:5432/x";
    assert.deepEqual(secretVariables({ DATABASE_URL: url }), [{ name: "DATABASE_URL", value: "pass%20word" }]);
  });

  test("X4: a value stays as long as one of its owners, and an hour longer", async () => {
    const clock = new ManualClock();
    const secrets = new Secrets(clock);
    secrets.hold("one", { TOKEN: "the-token" });
    secrets.hold("two", { OTHER_TOKEN: "the-token" });
    secrets.release("one");
    await clock.advance(2 * hourMs);
    assert.ok(isKnown(secrets, "the-token"));
    secrets.release("two");
    await clock.advance(hourMs - 1);
    assert.ok(isKnown(secrets, "the-token"));
    await clock.advance(1);
    assert.ok(!isKnown(secrets, "the-token"));
    assert.equal(secrets.search(), undefined);
  });

  test("X4: a token of before stays an hour beside the one that took its place", async () => {
    const clock = new ManualClock();
    const secrets = new Secrets(clock);
    for (const access_token of ["first-token", "second-token"]) secrets.holdOwn("access_token", { access_token });
    assert.ok(isKnown(secrets, "first-token") && isKnown(secrets, "second-token"));
    await clock.advance(hourMs);
    assert.ok(!isKnown(secrets, "first-token") && isKnown(secrets, "second-token"));
  });

  test("X2: one more value, or one more byte, than fits is refused, and then none of the owner's is held", () => {
    const secrets = new Secrets(new ManualClock());
    secrets.hold("all", many(secretsMax));
    secrets.hold("the same", many(secretsMax)); // They are there already.
    assert.throws(() => secrets.hold("more", { KEY_0: "value-0", KEY: "another value" }), isFull);
    assert.equal(secrets.size, secretsMax);
    secrets.holdOwn("ours", { TOKEN: "never refused" });
    assert.ok(isKnown(secrets, "never refused"));
    const bytes = new Secrets(new ManualClock());
    bytes.hold("one", { KEY: "x".repeat(secretsBytesMax - 6) });
    assert.throws(() => bytes.hold("two", { KEY: "1234567" }), isFull);
    bytes.hold("two", { KEY: "123456" });
  });

  test("what has ended makes room, the oldest first", async () => {
    const clock = new ManualClock();
    const secrets = new Secrets(clock);
    secrets.hold("stays", { KEY: "stays here" });
    for (const owner of ["old", "new"]) {
      secrets.hold(owner, { KEY: `${owner} value` });
      await clock.advance(1);
      secrets.release(owner);
    }
    secrets.hold("many", many(secretsMax - 2));
    assert.ok(!isKnown(secrets, "old value") && isKnown(secrets, "new value") && isKnown(secrets, "stays here"));
  });
});
