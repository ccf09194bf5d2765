/**
 * Goal: a command without the machine's network reaches what the allow list names, by the tools that people use, and nothing else: not
 * the metadata address, not this machine's ports, no name server; who is refused hears why.
 * Method: the real daemon and runner; origins on loopback addresses of their own; curl, git, python and npm inside the sandbox. Where the
 * kernel gives no network namespaces the tests are skipped with the runner's own reason.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join, normalize } from "node:path";
import { after, before, describe, test, type TestContext } from "node:test";
import { InstalledRunner } from "@hl/testkit/installed-runner.ts";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";

/** NO_PROXY names 127.0.0.1, which inside is the namespace's own: origins are at other addresses of this machine. */
const [allowedHost, otherHost] = ["127.0.0.2", "127.0.0.3"];
const allowedCommands = ["curl", "git", "node", "npm", "python3", "sh"];

const missing = (program: string): string | false => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return false;
  } catch {
    return `${program} is not installed here`;
  }
};

let commands = 0;

async function startDaemon(
  sandbox: object,
): Promise<{ daemon: TestDaemon; client: MessageClient; reason: string | undefined }> {
  const daemon = await TestDaemon.start({
    config: { security: { sandbox }, process_management: { allowed_commands: allowedCommands } },
  });
  const client = await daemon.connect();
  const { sandbox: said } = await client.call("system/info", {});
  return { daemon, client, reason: said.reason };
}

function run(client: MessageClient, command: string, args: readonly string[], more: object = {}): Promise<Message> {
  return client.call("command/execute", { command_id: `c-${(commands += 1)}`, command, args, ...more }, 150_000);
}

/** A bare TCP connection, which looks at no proxy. */
const direct = (host: string, port: number): string[] => [
  "-e",
  `require("net").connect(${port}, "${host}").on("connect", () => { console.log("reached"); process.exit(0); })
    .on("error", (error) => { console.log(error.code); process.exit(1); })`,
];

describe("egress: proxy", () => {
  let origin: Server;
  let port: number;
  let world: Awaited<ReturnType<typeof startDaemon>>;
  const repository = temporaryFolder("hl-origin");
  const asked: string[] = [];

  /** True, and the test skipped, where this machine cannot do it. */
  const cannot = (t: TestContext): boolean => {
    if (world.reason !== undefined) t.skip(`THE NETWORK OF COMMANDS IS NOT TESTED HERE: ${world.reason}`);
    return world.reason !== undefined;
  };
  const text = async (...args: string[]): Promise<string> => {
    const { stdout, stderr, exit_code } = await run(world.client, "curl", ["-sS", "--max-time", "20", ...args]);
    return exit_code === 0 ? stdout : `${exit_code}: ${stdout}${stderr}`;
  };

  before(async () => {
    const git = (...args: string[]): void => {
      const identity = ["-c", "user.name=t", "-c", "user.email=t@example", "-c", "init.defaultBranch=main"];
      execFileSync("git", [...identity, ...args], { cwd: repository.path, stdio: "pipe" });
    };
    git("init", "-q", "work");
    git("-C", "work", "commit", "-q", "--allow-empty", "-m", "the first");
    git("clone", "-q", "--bare", "work", "repository.git");
    git("-C", "repository.git", "update-server-info");
    origin = createServer((request, response) => {
      asked.push(`${request.headers.host} ${request.url}`);
      if (request.url === "/hello") response.end("hello");
      else if (request.url === "/-/ping") response.end("{}");
      else if (request.url === "/away") response.writeHead(302, { Location: "http://169.254.169.254/latest/" }).end();
      else {
        const path = join(repository.path, normalize(new URL(request.url ?? "/", "http://x").pathname));
        readFile(path).then(
          (bytes) => response.end(bytes),
          () => response.writeHead(404).end(),
        );
      }
    }).listen(0, "0.0.0.0");
    await once(origin, "listening");
    ({ port } = origin.address() as AddressInfo);
    world = await startDaemon({
      network: "proxy",
      agent_network: "proxy",
      proxy_allowed_hosts: [`${allowedHost}:${port}`],
    });
  });

  after(async () => {
    world.client[Symbol.dispose]();
    await world.daemon[Symbol.asyncDispose]();
    origin.closeAllConnections();
    origin.close();
    repository[Symbol.dispose]();
  });

  test("what the list names is reached: by curl in the clear and through a tunnel, and by git", async (t) => {
    if (cannot(t)) return;
    const url = `http://${allowedHost}:${port}`;
    assert.equal(await text(`${url}/hello`), "hello");
    assert.equal(await text("--proxytunnel", `${url}/hello`), "hello");
    const cloned = await run(world.client, "git", ["clone", "-q", `${url}/repository.git`, "cloned"]);
    assert.equal(cloned.exit_code, 0, cloned.stderr);
    const log = await run(world.client, "git", ["-C", "cloned", "log", "--format=%s"]);
    assert.equal(log.stdout, "the first\n", log.stderr);
  });

  test("python, and so pip, finds the proxy in its environment", { skip: missing("python3") }, async (t) => {
    if (cannot(t)) return;
    const fetched = "import urllib.request as r, sys; print(r.urlopen(sys.argv[1]).read().decode())";
    const { stdout, stderr } = await run(world.client, "python3", [
      "-c",
      fetched,
      `http://${allowedHost}:${port}/hello`,
    ]);
    assert.equal(stdout, "hello\n", stderr);
  });

  test("npm finds the proxy in its environment", { skip: missing("npm") }, async (t) => {
    if (cannot(t)) return;
    const { exit_code: code, stderr } = await run(world.client, "npm", [
      "ping",
      "--registry",
      `http://${allowedHost}:${port}`,
    ]);
    assert.equal(code, 0, stderr);
    assert.ok(asked.includes(`${allowedHost}:${port} /-/ping`), String(asked));
  });

  test("X1: what it does not name is refused with the key that allows it, also behind a redirect; the audit says so", async (t) => {
    if (cannot(t)) return;
    assert.match(
      await text(`http://${otherHost}:${port}/hello`),
      /^refused by hl-daemon: 127\.0\.0\.3.*security\.sandbox\.proxy_allowed_hosts/,
    );
    assert.match(
      await text("-L", `http://${allowedHost}:${port}/away`),
      /^refused by hl-daemon: 169\.254\.169\.254:80/,
    );
    assert.match(await text("https://example.com/"), /403/);
    assert.ok(!asked.some((line) => line.startsWith(otherHost)), "a refused request reached its server");
    using events = await world.daemon.connect();
    const audited = events.next(
      ({ method, params }) =>
        method === "event/event" && params.data.kind === "egress" && params.data.host === otherHost,
    );
    await events.call("event/subscribe", { types: ["audit"], after: 0 });
    const { data, severity } = (await audited).params;
    assert.deepEqual([data.decision, data.port, severity], ["deny", port, "warning"]);
  });

  test("X1: the metadata address, this machine's ports, the daemon's own and a name server are out of reach, with the proxy and past it", async (t) => {
    if (cannot(t)) return;
    const daemonPort = Number(new URL(world.daemon.url).port);
    assert.match(await text("http://169.254.169.254/latest/meta-data/"), /^refused by hl-daemon: /);
    assert.match(await text("--noproxy", "", `http://127.0.0.1:${daemonPort}/health`), /^refused by hl-daemon: /);
    const past: [host: string, port: number][] = [
      [allowedHost, port],
      ["127.0.0.1", port],
      ["127.0.0.1", daemonPort],
      ["169.254.169.254", 80],
      ["1.1.1.1", 53],
    ];
    for (const [host, at] of past) {
      const { stdout } = await run(world.client, "node", direct(host, at));
      assert.match(stdout, /^(ECONNREFUSED|ENETUNREACH)\n$/, `${host}:${at}`);
    }
    const lookUp = `require("dns").lookup("example.com", (error) => console.log(error?.code ?? "resolved"))`;
    const { stdout } = await run(world.client, "node", ["-e", lookUp]);
    assert.match(stdout, /^(EAI_AGAIN|ENOTFOUND)\n$/);
  });

  test("it is said what is enforced: system/info, status, and a dry run", async (t) => {
    if (cannot(t)) return;
    const { sandbox } = await world.client.call("system/info", {});
    assert.deepEqual([sandbox.network, sandbox.agent_network, sandbox.seccomp], ["proxy", "proxy", true]);
    const status = await world.daemon.client(["status"]);
    assert.match(status.stdout.toString(), /network proxy, of agents proxy/);
    const judged = await world.daemon.client(["exec", "--dry-run", "--", "curl", "http://x"]);
    assert.deepEqual([judged.code, judged.stderr], [0, ""]);
    assert.match(judged.stdout.toString(), /^allowed\n[^]*rule +curl\n[^]*network +proxy\n/);
    const denied = await world.daemon.client(["exec", "--dry-run", "--json", "--", "sudo", "id"]);
    assert.equal(denied.code, 126);
    const { decision, error } = JSON.parse(denied.stdout.toString());
    assert.deepEqual([decision, error.error_type], ["deny", "command_blocked"]);
  });
});

test("X1: with network none there is a loopback of its own and nothing else", async (t) => {
  await using stack = new AsyncDisposableStack();
  const { daemon, client, reason } = await startDaemon({ network: "none" });
  stack.use(daemon);
  stack.use(client);
  if (reason !== undefined) {
    t.skip(`THE NETWORK OF COMMANDS IS NOT TESTED HERE: ${reason}`);
    return;
  }
  const daemonPort = Number(new URL(daemon.url).port);
  for (const [host, port] of [
    ["127.0.0.1", daemonPort],
    ["127.0.0.1", 3128],
    ["169.254.169.254", 80],
  ] as const) {
    const { stdout } = await run(client, "node", direct(host, port));
    assert.match(stdout, /^(ECONNREFUSED|ENETUNREACH)\n$/, `${host}:${port}`);
  }
  const own = `const s = require("net").createServer((c) => c.end("own")).listen(0, () =>
    require("net").connect(s.address().port).on("data", (d) => { console.log(String(d)); process.exit(0); }))`;
  assert.equal((await run(client, "node", ["-e", own])).stdout, "own\n");
  assert.equal((await run(client, "sh", ["-c", "echo ${HTTP_PROXY:-none}"])).stdout, "none\n");
});

test("P3: a command that outlives its daemon finds the next daemon's proxy", async (t) => {
  await using stack = new AsyncDisposableStack();
  const runner = stack.use(await InstalledRunner.start());
  const origin = createServer((_request, response) => response.end("hello")).listen(0, allowedHost);
  stack.defer(() => {
    origin.closeAllConnections();
    origin.close();
  });
  await once(origin, "listening");
  const { port } = origin.address() as AddressInfo;
  const daemon = await TestDaemon.start({
    config: {
      security: { sandbox: { network: "proxy", proxy_allowed_hosts: [`${allowedHost}:${port}`] } },
      process_management: { allowed_commands: allowedCommands, ...runner.config },
    },
  });
  stack.use(daemon);
  const script = `read line; curl -sS http://${allowedHost}:${port}/`;
  {
    using client = await daemon.connect();
    const { sandbox } = await client.call("system/info", {});
    if (sandbox.reason !== undefined) {
      t.skip(`THE NETWORK OF COMMANDS IS NOT TESTED HERE: ${sandbox.reason}`);
      return;
    }
    await client.call("command/execute", {
      command_id: "long",
      command: "sh",
      args: ["-c", script],
      stdin: true,
      wait: 0,
    });
  }
  await daemon.kill();
  await daemon.restart();
  using client = await daemon.connect();
  await client.call("command/input", { command_id: "long", data: "go\n" });
  const { stdout, stderr } = await client.call("command/status", { command_id: "long", wait: 30 });
  assert.equal(stdout, "hello", stderr);
});
