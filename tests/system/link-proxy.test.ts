/**
 * Goal: a VM whose only way out is a proxy enrols, is connected and ships, with TLS checked end to end; a proxy that refuses is told with what
 * to do; its password is nowhere (X4), and commands know nothing of it.
 * Method: the real programs with a real proxy on loopback; the cloud's name is one that only the proxy resolves.
 */
import assert from "node:assert/strict";
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { ConnectProxy } from "@hl/testkit/connect-proxy.ts";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { makeDaemonHome, startCloud, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

const password = "pr0xy-geheim@2026";

test("a VM behind a proxy is connected through it; the password is in no log, event or environment (X4)", async () => {
  using folder = temporaryFolder("hl-link-proxy");
  const authority = makeAuthority();
  const server = authority.issue("cloud", { dnsNames: ["cloud.example"] });
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const ca = file("ca.crt", authority.cert);
  const args = ["--tls-cert", file("s.crt", server.cert), "--tls-key", file("s.key", server.key), "--client-ca", ca];
  await using cloud = await startCloud(join(folder.path, "cloud"), { args });
  const cloudPort = Number(new URL(cloud.ready.url).port);
  const credentials = { user: "vm", password };
  await using proxy = await ConnectProxy.start({ hosts: { "cloud.example:443": cloudPort }, credentials });

  const home = join(folder.path, "vm");
  makeDaemonHome(home, {
    cloud_api: {
      base_url: "https://cloud.example",
      auth: { method: "certificate" },
      connection: { retry_delay: 0.1, max_retry_delay: 0.5, reconnect_spread: 0.1, heartbeat_interval: 1 },
    },
    process_management: { allowed_commands: ["env"] },
    security: { sandbox_mode: false },
    daemon: { instance_id: "vm-7", workspace_id: "w" },
  });
  const client = authority.issue("vm-7");
  mkdirSync(join(home, "data/auth"), { recursive: true, mode: 0o700 });
  writeFileSync(join(home, "data/auth/client.crt"), client.cert);
  writeFileSync(join(home, "data/auth/client.key"), client.key, { mode: 0o600 });
  writeFileSync(
    join(home, "config/security.json"),
    JSON.stringify({
      network_security: { tls_config: { pin_hashes: [server.pin, authority.pin] } },
      authentication: { certificate: { ca_cert: ca } },
    }),
  );
  const log = (): string => readFileSync(join(home, "logs/daemon.log"), "utf8");
  {
    const wrong = proxy.url.replace("vm:", "else:");
    await using _daemon = await startDaemon(home, { env: { HTTPS_PROXY: wrong } });
    await until("the log to say what the proxy wants", () =>
      /refused a tunnel to cloud\.example:443 \(407\): it wants a user name/.test(log()),
    );
  }
  assert.ok(!log().includes("connected to the cloud"));
  {
    await using daemon = await startDaemon(home, { env: { https_proxy: proxy.url, NO_PROXY: "other.example" } });
    const token = readFileSync(join(home, "data/auth/local_token"), "utf8").trim();
    using local = await connectSocket(daemon.ready.socket, token);
    const connected = async (): Promise<boolean> =>
      (await local.call("system/health")).service_status.api_connection === "connected";
    await until("the VM to be connected", connected);
    const ran = await local.call("command/execute", { command_id: "env", command: "env", args: [] });
    assert.ok(ran.stdout.includes("HOME="), ran.stdout);
    assert.doesNotMatch(ran.stdout, /_proxy=|geheim/i);
    const shipped = async (): Promise<boolean> => (await local.call("system/health")).spool.depth === 0;
    await until("the events to be shipped", shipped);
  }
  const forms = [
    password,
    encodeURIComponent(password),
    btoa(`vm:${password}`).slice(0, -2),
    btoa(password).slice(0, -2),
  ];
  for (const place of ["logs", "data/state"]) {
    for (const name of readdirSync(join(home, place), { recursive: true, encoding: "utf8" })) {
      const bytes = readIfFile(join(home, place, name));
      for (const form of forms) assert.ok(!bytes.includes(form), `${place}/${name} has ${form}`);
    }
  }
  await noProcessOf(home);
});

function readIfFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch {
    return Buffer.alloc(0); // A folder, or a socket.
  }
}
