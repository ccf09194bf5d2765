import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { chooseTarget } from "./target.ts";

// Goal: which daemon is meant is never a surprise: the command line, then the environment, then the checkout, then the system.
const elsewhere = { cwd: "/cwd", programFile: "/usr/lib/hl/main.ts" };

test("the socket: flag, HL_DAEMON_SOCKET, HL_DAEMON_HOME, the installed one; its token lies beside it", () => {
  const socket = (args: object, env: Record<string, string>) => chooseTarget(args, { ...elsewhere, env });
  const all = { HL_DAEMON_SOCKET: "/s/state/e.sock", HL_DAEMON_HOME: "/h" };
  assert.deepEqual(socket({ socket: "a/state/f.sock" }, all), {
    kind: "socket",
    path: "/cwd/a/state/f.sock",
    tokenFile: "/cwd/a/auth/local_token",
  });
  assert.deepEqual(socket({}, all), { kind: "socket", path: "/s/state/e.sock", tokenFile: "/s/auth/local_token" });
  assert.deepEqual(socket({}, { HL_DAEMON_SOCKET: "", HL_DAEMON_HOME: "/h", HL_TOKEN_FILE: "/t" }), {
    kind: "socket",
    path: "/h/data/state/daemon.sock",
    tokenFile: "/t",
  });
  assert.equal((socket({}, {}) as { path: string }).path, "/opt/freestyle/hl-daemon/data/state/daemon.sock");
});

test("the cloud from flags or the environment; what is local on the command line comes before it", () => {
  const env = { HL_CLOUD: "https://c.example/base", HL_INSTANCE: "a/b", HL_OPERATOR_TOKEN_FILE: "op" };
  const cloud = {
    kind: "websocket",
    url: "wss://c.example/base/v1/instances/a%2Fb/rpc",
    tokenFile: "/cwd/op",
    through: "cloud",
  };
  assert.deepEqual(chooseTarget({}, { ...elsewhere, env }), cloud);
  assert.equal(chooseTarget({ socket: "/s" }, { ...elsewhere, env }).kind, "socket");
  const url = chooseTarget({ url: "http://[::1]:8080" }, { ...elsewhere, env: { ...env, HL_DAEMON_HOME: "/h" } });
  assert.deepEqual(url, {
    kind: "websocket",
    url: "ws://[::1]:8080/rpc",
    tokenFile: "/h/data/auth/local_token",
    through: "daemon",
  });
});

test("a token is sent in the clear to this machine only", () => {
  for (const url of ["http://10.0.0.1", "ws://127.0.0.1.example.com", "http://localhost.example.com"]) {
    assert.throws(() => chooseTarget({ url }, { ...elsewhere, env: {} }), /plain http/);
  }
  assert.throws(() => chooseTarget({ url: "ftp://x" }, { ...elsewhere, env: {} }), /must begin with/);
  assert.throws(() => chooseTarget({ url: "not an address" }, { ...elsewhere, env: {} }), /not an address/);
});

test("in a checkout: its own daemon while there is one, and its operator token", (t) => {
  const root = mkdtempSync(join(tmpdir(), "hl-checkout-"));
  t.after(() => rmSync(root, { recursive: true }));
  mkdirSync(join(root, "packages/client/src"), { recursive: true });
  writeFileSync(join(root, "packages/client/package.json"), "{}");
  const ports = { cwd: "/cwd", env: {}, programFile: join(root, "packages/client/src/main.ts") };
  assert.match((chooseTarget({}, ports) as { path: string }).path, /^\/opt\//);
  mkdirSync(join(root, ".hl/vm/data/state"), { recursive: true });
  writeFileSync(join(root, ".hl/vm/data/state/daemon.sock"), "");
  assert.deepEqual(chooseTarget({}, ports), {
    kind: "socket",
    path: join(root, ".hl/vm/data/state/daemon.sock"),
    tokenFile: join(root, ".hl/vm/data/auth/local_token"),
  });
  const cloud = chooseTarget({ cloud: "http://127.0.0.1:1", instance: "i" }, ports);
  assert.equal(cloud.tokenFile, join(root, ".hl/operator-token"));
  assert.throws(
    () => chooseTarget({ cloud: "http://127.0.0.1:1", instance: "i" }, { ...elsewhere, env: {} }),
    /operator token/,
  );
});
