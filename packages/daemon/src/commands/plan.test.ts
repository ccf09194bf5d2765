/** Goal: what a shim is asked for is what the configuration and the caller say and nothing of the daemon's own; X2: never quietly less. */
import assert from "node:assert/strict";
import { existsSync, mkdirSync, realpathSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { HlError, type ErrorType } from "@hl/protocol/errors.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { params, planSettings } from "./commands.fixture.test.ts";
import type { StartRequest } from "../runner/records.ts";
import { Planner, type ExecuteParams, type PlanSettings } from "./plan.ts";

interface World extends Disposable {
  readonly root: string;
  readonly planner: Planner;
  /** As it would be asked for in a run named `run`. */
  plan(more?: Partial<ExecuteParams>): { readonly request: StartRequest };
}

function world(changes: Partial<PlanSettings> = {}): World {
  const folder = temporaryFolder("hl-plan");
  const root = realpathSync(folder.path);
  mkdirSync(join(root, "workspace"));
  const planner = new Planner(planSettings(root, changes));
  const plan: World["plan"] = (more = {}) => ({
    request: planner.plan(params("true", ["a b", ""], more)).request("run"),
  });
  return { root, planner, plan, [Symbol.dispose]: () => folder[Symbol.dispose]() };
}

const refused = (run: () => unknown, type: ErrorType, ...quoted: string[]): void =>
  assert.throws(run, (error: unknown) => {
    assert.ok(error instanceof HlError && error.type === type, String(error));
    for (const text of quoted) assert.ok(error.message.includes(text), error.message);
    return true;
  });

describe("plan: environment", () => {
  test("X4: it is a clean one: the configured additions, then the caller's, and never the daemon's own", () => {
    process.env["HL_ENROLLMENT_TOKEN"] = "secret";
    using w = world({ environment: { EDITOR: "vi", LANG: "de_DE.UTF-8" } });
    const { env } = w.plan({ env: { LANG: "C", EXTRA: "1" } }).request;
    assert.deepEqual(env, {
      PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      HOME: join(w.root, "temporary/home"),
      USER: "dev",
      LOGNAME: "dev",
      LANG: "C",
      TMPDIR: join(w.root, "temporary/run"),
      EDITOR: "vi",
      EXTRA: "1",
    });
    delete process.env["HL_ENROLLMENT_TOKEN"];
  });

  test("its folders are asked for, outer ones first; a home that the caller names is its own to make", () => {
    using w = world();
    const { request } = w.plan();
    assert.equal(existsSync(join(w.root, "temporary")), false, "a plan touches nothing");
    assert.equal(request.temporary, join(w.root, "temporary/run"));
    const folders = [w.root, join(w.root, "temporary"), join(w.root, "temporary/home")];
    assert.deepEqual(request.directories?.slice(-3), folders);
    const own = w.plan({ env: { HOME: join(w.root, "own") } }).request;
    assert.deepEqual(own.directories?.slice(-2), folders.slice(0, 2));
  });

  test("a caller's PATH finds the program, and the program is called as it was asked for", () => {
    using w = world();
    writeFileSync(join(w.root, "workspace/true"), "", { mode: 0o755 });
    const { request } = w.plan({ env: { PATH: join(w.root, "workspace") } });
    assert.deepEqual(request.argv, [join(w.root, "workspace/true"), "a b", ""]);
    assert.equal(request.argv0, "true");
    assert.equal(request.cwd, join(w.root, "workspace"));
    assert.equal(request.stdin, "null");
    assert.equal(w.plan({ stdin: true }).request.stdin, "pipe");
  });
});

describe("plan: limits and refusals", () => {
  test("timeouts: the default within the maximum, a wish up to it, more is refused with both figures", () => {
    using w = world({ timeoutMs: 60_000, timeoutMsMax: 120_000 });
    assert.equal(w.plan().request.timeoutMs, 60_000);
    assert.equal(w.plan({ timeout: 0.5 }).request.timeoutMs, 500);
    assert.equal(w.plan({ timeout: 120 }).request.timeoutMs, 120_000);
    refused(() => w.plan({ timeout: 120.001 }), "invalid_params", "120.001 s", "(120 s)");
    using short = world({ timeoutMs: 60_000, timeoutMsMax: 10_000 });
    assert.equal(short.plan().request.timeoutMs, 10_000);
    assert.equal(w.plan().request.idleTimeoutMs, undefined);
    assert.equal(w.plan({ idle_timeout: 3 }).request.idleTimeoutMs, 3_000);
    using idle = world({ idleTimeoutMs: 9_000 });
    assert.equal(idle.plan().request.idleTimeoutMs, 9_000);
  });

  test("only users whose runner is installed", () => {
    using w = world({ users: ["dev", "build"] });
    for (const user of ["dev", "build"]) w.plan({ user });
    for (const user of ["root", "dev ", "DEV"])
      refused(() => w.plan({ user }), "user_not_permitted", JSON.stringify(user));
  });

  test("the first refusal is told: user, directory, command, timeout, sandbox", () => {
    using w = world({ sandboxed: true, sandboxProblem: "no Landlock" });
    const bad = { user: "root", cwd: "/", timeout: 1e6 };
    refused(() => w.planner.plan(params("sudo", [], bad)), "user_not_permitted");
    refused(() => w.planner.plan(params("sudo", [], { cwd: "/", timeout: 1e6 })), "path_denied");
    refused(() => w.planner.plan(params("sudo", [], { timeout: 1e6 })), "command_blocked");
    refused(() => w.plan({ timeout: 1e6 }), "invalid_params");
    refused(() => w.plan(), "sandbox_unavailable", "no Landlock");
  });

  test("X2: with sandbox_mode on there are rules or a refusal; only off means none", () => {
    using off = world({ sandboxed: false, sandboxProblem: "no Landlock" });
    assert.equal(off.plan().request.sandbox, undefined);
    using on = world({ sandboxed: true });
    const { read, write } = on.plan().request.sandbox!;
    assert.deepEqual(
      write.filter((path) => path.startsWith(on.root)),
      [join(on.root, "workspace"), join(on.root, "temporary/run"), join(on.root, "temporary/home")],
    );
    assert.ok(read.includes("/usr"));
    // A home that the caller names is not opened by naming it.
    const named = on.plan({ env: { HOME: "/", TMPDIR: "/" } }).request.sandbox!;
    assert.ok(![...named.read, ...named.write].includes("/"));
  });

  test("X1: rules that a shim has already are asked for once, and not used any more when what they came from has changed", () => {
    using w = world({ sandboxed: true });
    const plan = w.planner.plan(params("true"));
    const whole = plan.request("run").sandbox!;
    const given = w.planner.preparation();
    const rest = plan.request("run", given)!.sandbox!;
    const sorted = (...lists: (readonly string[])[]): string[] => lists.flat().sort();
    assert.deepEqual(sorted(given.sandbox!.read, rest.read), sorted(whole.read));
    assert.deepEqual(sorted(given.sandbox!.write, rest.write), sorted(whole.write));
    // The workspace becomes a link to somewhere else: what was prepared may be too much for it.
    renameSync(join(w.root, "workspace"), join(w.root, "elsewhere"));
    symlinkSync("elsewhere", join(w.root, "workspace"));
    const after = w.planner.plan(params("true"));
    assert.equal(after.request("run", given), undefined);
    // The next shim gets what is right now.
    const renewed = w.planner.preparation();
    assert.ok(after.request("run", renewed) !== undefined && renewed !== given);
    assert.equal(after.request("run", given), undefined);
    assert.equal(w.planner.preparation(), renewed);
  });
});

describe("plan: network", () => {
  const proxy = { kind: "proxy", proxySocket: "/run/egress.sock" } as const;
  const none = { kind: "none" } as const;

  test("X1: commands and agents get the network that is configured for them, and the proxy's address where they have no other way", () => {
    using w = world({
      sandboxed: true,
      network: proxy,
      agentNetwork: none,
      allowNamespaces: true,
      environment: { http_proxy: "mine" },
    });
    const { request } = w.plan({ env: { NO_PROXY: "all" } });
    assert.deepEqual(
      [request.network, request.proxySocket, request.allowNamespaces],
      ["proxy", "/run/egress.sock", true],
    );
    const { env } = request;
    const address = "http://127.0.0.1:3128";
    for (const name of [
      "HTTP_PROXY",
      "HTTPS_PROXY",
      "ALL_PROXY",
      "https_proxy",
      "all_proxy",
      "npm_config_proxy",
      "npm_config_https_proxy",
    ]) {
      assert.equal(env[name], address, name);
    }
    // The configuration's and the caller's own variables come last, as everywhere.
    assert.deepEqual(
      [env["http_proxy"], env["NO_PROXY"], env["no_proxy"], env["NODE_USE_ENV_PROXY"]],
      ["mine", "all", "localhost,127.0.0.1,::1", "1"],
    );
    const agent = w.planner.confinement(join(w.root, "t"), undefined);
    assert.deepEqual([agent.network, agent.proxySocket], ["none", undefined]);
    assert.equal(w.planner.environment(join(w.root, "t"), {})["HTTP_PROXY"], undefined);
  });

  test("the machine's network is what is asked for by default, and all there is without the sandbox", () => {
    using host = world({ sandboxed: true });
    assert.equal(host.plan().request.network, undefined);
    using off = world({ network: proxy });
    const { network, sandbox, env } = off.plan().request;
    assert.deepEqual([network, sandbox, env["HTTP_PROXY"]], [undefined, undefined, undefined]);
  });

  test("X2: a network that cannot be had refuses whom it is for, and nobody else", () => {
    using w = world({ sandboxed: true, agentNetwork: { ...proxy, problem: "no namespaces" } });
    w.plan();
    refused(() => w.planner.confinement(join(w.root, "t"), undefined), "sandbox_unavailable", "no namespaces");
    using other = world({ sandboxed: true, network: { ...none, problem: "no namespaces" } });
    refused(() => other.plan(), "sandbox_unavailable", "no namespaces");
    other.planner.confinement(join(other.root, "t"), undefined);
  });
});
