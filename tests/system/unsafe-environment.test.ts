/**
 * Goal: X2: no variable of the environment has the daemon trust a server that its configuration does not trust, or run somebody's code.
 * Method: the attack: a server with a certificate of the attacker's authority, and all variables at once by which Node or OpenSSL would take it;
 * a bare Node in the same environment shows that they would.
 */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import {
  collect,
  makeDaemonHome,
  repositoryRoot,
  runProgram,
  startDaemon,
  temporaryFolder,
} from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

test("X2: variables that Node and OpenSSL obey neither weaken the daemon's checks nor load code into it", async () => {
  using folder = temporaryFolder("hl-unsafe");
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content);
    return path;
  };
  const attacker = makeAuthority("attacker");
  const { cert, key } = attacker.issue("cloud");
  let requests = 0;
  const server = createServer({ cert, key }, (_request, response) => {
    requests += 1;
    response.end("taken in");
  });
  server.on("tlsClientError", () => {});
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  await using stack = new AsyncDisposableStack();
  stack.defer(async () => {
    server.close();
    server.closeAllConnections();
    await once(server, "close");
  });
  const url = `https://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const marker = join(folder.path, "loaded");
  const ca = file("attacker.crt", attacker.cert);
  const code = file("code.cjs", `require("node:fs").writeFileSync(${JSON.stringify(marker)}, "")`);
  const env = {
    NODE_OPTIONS: `--require ${code} --use-openssl-ca --tls-min-v1.0`,
    NODE_TLS_REJECT_UNAUTHORIZED: "0",
    NODE_EXTRA_CA_CERTS: ca,
    SSL_CERT_FILE: ca,
    OPENSSL_CONF: file(
      "openssl.cnf",
      "nodejs_conf = x\n[x]\nssl_conf = y\n[y]\nsystem_default = z\n[z]\nMinProtocol = TLSv1\n",
    ),
    NODE_DEBUG: "http,tls",
  };

  const bare = spawn(process.execPath, ["-e", `fetch("${url}").then((a) => a.text()).then(console.log)`], { env });
  assert.equal((await collect(bare)).stdout.toString("utf8").trim(), "taken in", "the attack works on a bare Node");
  assert.ok(existsSync(marker));
  writeFileSync(code, `require("node:fs").writeFileSync(${JSON.stringify(`${marker}2`)}, "")`);
  requests = 0;

  const home = join(folder.path, "vm");
  makeDaemonHome(home, {
    cloud_api: { base_url: url, connection: { retry_delay: 0.1, max_retry_delay: 0.5, reconnect_spread: 0.1 } },
    daemon: { instance_id: "vm-1", workspace_id: "w" },
  });
  writeFileSync(
    join(home, "config/security.json"),
    JSON.stringify({ network_security: { tls_config: { certificate_pinning: false } } }),
  );
  {
    await using _daemon = await startDaemon(home, { env: { ...env, HL_ENROLLMENT_TOKEN: "one-time" } });
    const log = (): string => readFileSync(join(home, "logs/daemon.log"), "utf8");
    await until("the log to say that the server is not trusted", () =>
      /TLS with 127\.0\.0\.1:\d+ failed: .*authority/.test(log()),
    );
  }
  assert.equal(requests, 0);
  const checked = await runProgram("hl-daemon", ["--home", home, "--check-config"], { env });
  for (const name of Object.keys(env))
    assert.ok(checked.stderr.includes(`hl-daemon: ${name} of the environment is not used`), name);
  assert.ok(!existsSync(`${marker}2`));

  const main = join(repositoryRoot, "packages/daemon/src/main.ts");
  const direct = spawn(process.execPath, [main, "--home", home, "--test-mode"], { env });
  const { code: exitCode, stderr } = await collect(direct);
  assert.equal(exitCode, 78);
  assert.match(
    stderr,
    /NODE_OPTIONS, NODE_TLS_REJECT_UNAUTHORIZED, .* in the environment can make Node or OpenSSL check less/,
  );
});

test("a proxy variable that cannot be obeyed ends the start with a text that has no password", async () => {
  using folder = temporaryFolder("hl-unsafe");
  const home = join(folder.path, "vm");
  makeDaemonHome(home);
  const env = { HTTPS_PROXY: "socks5://vm:geheim@127.0.0.1:1080" };
  await assert.rejects(startDaemon(home, { env }), (error: Error) => {
    assert.match(error.message, /ended with 78 .*HTTPS_PROXY names a proxy that speaks socks5/s);
    return !error.message.includes("geheim");
  });
});
