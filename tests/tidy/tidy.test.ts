import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";

// Goal: the house rules that no linter knows (STYLE.md). Method: read every file that git tracks or would track.
const files = execFileSync("git", ["ls-files", "--cached", "--others", "--exclude-standard"], {
  cwd: repositoryRoot,
  encoding: "utf8",
})
  .trim()
  .split("\n")
  .filter((path) => existsSync(join(repositoryRoot, path)));
const read = (path: string): string => readFileSync(join(repositoryRoot, path), "utf8");
const isTest = (path: string): boolean => /\.test\.ts$|^tests\/|\/test\/|\/testing\//.test(path);
const sources = files.filter((path) => /\.(ts|c|h)$/.test(path));

const linesMax = 300;

test("a source file has at most 300 lines, unless its first line says why", () => {
  const long = sources
    .filter((path) => !isTest(path))
    .map((path) => ({ path, text: read(path) }))
    .filter(
      ({ text }) => text.split("\n").length > linesMax && !/^\/[/*].*\b(long|lines)\b/i.test(text.split("\n")[0] ?? ""),
    )
    .map(({ path, text }) => `${path}: ${text.split("\n").length} lines`);
  assert.deepEqual(long, []);
});

test("a file is named in kebab-case", () => {
  const odd = sources.filter((path) => !/^[a-z0-9]+(-[a-z0-9]+)*(\.[a-z]+)*$/.test(path.split("/").at(-1) ?? ""));
  assert.deepEqual(odd, []);
});

test("nothing is left to be done later without an owner", () => {
  const left = sources
    .filter((path) => path !== "tests/tidy/tidy.test.ts")
    .filter((path) => /\b(FIXME|XXX|TODO(?!\([a-z]))/.test(read(path)));
  assert.deepEqual(left, []);
});

test("production code has no enum, no default export and no parameter property", () => {
  const rules: [name: string, pattern: RegExp][] = [
    ["default export", /^export default /m],
    ["enum", /^\s*(export )?(const )?enum /m],
    ["parameter property", /constructor\([^)]*\b(private|public|protected|readonly) /],
  ];
  const production = files.filter((path) => /^packages\/.*\.ts$/.test(path) && !isTest(path));
  const broken = production.flatMap((path) =>
    rules.filter(([, pattern]) => pattern.test(read(path))).map(([name]) => `${path}: ${name}`),
  );
  assert.deepEqual(broken, []);
});

test("every relative link in a page leads somewhere", () => {
  const pages = files.filter((path) => path.endsWith(".md"));
  const dead = pages.flatMap((page) =>
    [...read(page).matchAll(/\]\((?!https?:|mailto:|#)([^)#\s]+)[^)]*\)/g)]
      .map(([, target]) => target ?? "")
      .filter((target) => !existsSync(join(repositoryRoot, dirname(page), target)))
      .map((target) => `${page}: ${target}`),
  );
  assert.deepEqual(dead, []);
});

/** The rows of a page's tables whose first column fits, with the tests that the last one names and that are not there. */
function provedRows(page: string, number: RegExp): { readonly number: string; readonly missing: string[] }[] {
  const rows = [...page.matchAll(/^\| (\w+) \|.*\| (.*) \|$/gm)].filter(([, first = ""]) => number.test(first));
  return rows.map(([, number = "", proof = ""]) => {
    const named = [...proof.matchAll(/`([^`]+)`: ((?:"[^"]+"(?:, )?)+)/g)].flatMap(([, file = "", names = ""]) =>
      [...names.matchAll(/"([^"]+)"/g)].map(([, name = ""]) => ({ file, name })),
    );
    const absent = named.filter(
      ({ file, name }) => !existsSync(join(repositoryRoot, file)) || !/["`]/.test(read(file).split(name)[1]?.[0] ?? ""),
    );
    const missing = absent.map(({ file, name }) => `${number}: ${file}: ${name}`);
    return { number, missing: named.length === 0 && !proof.startsWith("missing: ") ? [`${number}: no test`] : missing };
  });
}

test("every acceptance case of agents has a test that exists, or says what is missing", () => {
  const rows = provedRows(read("docs/agents-acceptance.md"), /^[a-z]\d+$/);
  const numbers = rows.map(({ number }) => number);
  const listed = (letter: string, count: number): string[] =>
    Array.from({ length: count }, (_, index) => `${letter}${index + 1}`);
  assert.deepEqual(
    numbers.filter((number) => /^[sa]/.test(number)),
    [...listed("s", 31), ...listed("a", 10)],
  );
  assert.equal(new Set(numbers).size, numbers.length);
  assert.deepEqual(
    rows.flatMap(({ missing }) => missing),
    [],
  );
});

test("every lesson has a test that exists, and every test of a lesson is in the table", () => {
  const page = read("docs/lessons.md");
  const rows = provedRows(page, /^\d+$/);
  assert.deepEqual(
    rows.map(({ number }) => Number(number)),
    Array.from({ length: 24 }, (_, index) => index + 1),
  );
  assert.deepEqual(
    rows.flatMap(({ missing }) => missing),
    [],
  );
  const written = files
    .filter((path) => path.startsWith("tests/system/"))
    .flatMap((path) => [...read(path).matchAll(/^ *test\(\s*"(lesson \d.*?)",/gm)].map(([, name = ""]) => name));
  assert.ok(written.length > 0);
  assert.deepEqual(
    written.filter((name) => !page.includes(name)),
    [],
  );
});

test("every failure of TLS has a test that exists", () => {
  const rows = provedRows(read("docs/tls.md"), /^[a-z]\w+$/i).filter(
    ({ number }) => number !== "nr" && number !== "what",
  );
  assert.ok(rows.length > 20);
  assert.deepEqual(
    rows.flatMap(({ missing }) => missing),
    [],
  );
});

/** What opens a connection, with the files of the daemon that may, and why; `npm run check` looks at whole modules (one-door-to-the-network). */
const doors: readonly (readonly [what: string, pattern: RegExp, files: Readonly<Record<string, string>>])[] = [
  [
    "node:net",
    /import (?!type)[^;]*(?<!type )\b(?:connect|createConnection|Socket)\b[^;]* from "node:net"/,
    {
      "network/connect-first.ts": "the door itself",
      "runner/shim.ts": "unix sockets of hl-runner",
      "api/socket-server.ts": "asks its own unix socket whether somebody else listens",
      "egress/tunnel.ts": "instanceof",
    },
  ],
  ["node:tls", /\bconnect\b[^;]* from "node:tls"/, { "network/secure.ts": "the door itself" }],
  [
    "node:http",
    /import (?!type)[^;]*[{,]\s*(?:request|get|Agent|globalAgent)\b[^;]* from "node:http"/,
    {
      "network/proxy-tunnel.ts": "over a connection of the door",
      "egress/plain-request.ts": "over a connection of the door",
      "key-proxy/key-forward.ts": "over a connection of the door",
      "network/http-client.ts": "over connections of the door",
    },
  ],
  ["undici", /from "undici"/, {}],
  [
    "connectWebSocket",
    /from "@hl\/core\/rpc\/connect-websocket.ts"/,
    { "cloud/channel-paths.ts": "over a connection of the door" },
  ],
  ["new WebSocket", /new WebSocket\(/, {}],
  ["fetch", /(?<![\w.#])fetch\(|\bEventSource\b|createRemoteJWKSet/, {}],
];

test("X1: the daemon opens connections at one door", () => {
  const production = files.filter((path) => /^packages\/daemon\/src\/.*\.ts$/.test(path) && !isTest(path));
  for (const [what, pattern, allowed] of doors) {
    const users = production
      .filter((path) => pattern.test(read(path)))
      .map((path) => path.replace("packages/daemon/src/", ""));
    assert.deepEqual(users.sort(), Object.keys(allowed).sort(), what);
  }
  const [, , requests = {}] = doors.find(([what]) => what === "node:http") ?? [];
  for (const path of Object.keys(requests))
    assert.match(
      read(`packages/daemon/src/${path}`),
      /createConnection: \(\) => socket|override createConnection\(/,
      path,
    );
  assert.match(read("packages/daemon/src/cloud/channel-paths.ts"), /connection: await connect\(/);
});

test("a lock file records no download address", () => {
  const locks = files.filter((path) => path.endsWith("package-lock.json"));
  assert.ok(locks.length > 0);
  const addresses = locks.filter((path) => /"resolved": "https?:/.test(read(path)));
  assert.deepEqual(addresses, []);
});
