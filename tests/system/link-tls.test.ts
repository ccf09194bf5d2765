/**
 * Goal: X2: a daemon proves itself by its certificate alone, and speaks to nobody but the server whose key is pinned.
 * Method: the real programs over TLS with certificates that are made here.
 */
import assert from "node:assert/strict";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { makeDaemonHome, startCloud, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";

test("X2: mutual TLS alone enrols a VM under the name in its certificate; pins decide whom it speaks to", async () => {
  using folder = temporaryFolder("hl-link-tls");
  const authority = makeAuthority();
  const server = authority.issue("cloud");
  const file = (name: string, content: string): string => {
    const path = join(folder.path, name);
    writeFileSync(path, content, { mode: 0o600 });
    return path;
  };
  const ca = file("ca.crt", authority.cert);
  const args = ["--tls-cert", file("s.crt", server.cert), "--tls-key", file("s.key", server.key), "--client-ca", ca];
  await using cloud = await startCloud(join(folder.path, "cloud"), { args });
  assert.match(cloud.ready.url, /^https:/);

  const cases = [
    { name: "good", holder: "vm-7", pin: server.pin, wanted: undefined },
    { name: "pinned", holder: "vm-7", pin: authority.pin, wanted: /is not pinned: it is sha256:/ },
    { name: "stranger", holder: "vm-8", pin: server.pin, wanted: /an enrolment token is needed/ },
  ];
  for (const { name, holder, pin, wanted } of cases) {
    const client = authority.issue(holder);
    const home = join(folder.path, name);
    makeDaemonHome(home, {
      cloud_api: {
        base_url: cloud.ready.url,
        auth: { method: "certificate" },
        connection: { retry_delay: 0.1, max_retry_delay: 0.5, reconnect_spread: 0.1, heartbeat_interval: 1 },
      },
      daemon: { instance_id: "vm-7", workspace_id: "w" },
    });
    mkdirSync(join(home, "data/auth"), { recursive: true, mode: 0o700 });
    writeFileSync(join(home, "data/auth/client.crt"), client.cert);
    writeFileSync(join(home, "data/auth/client.key"), client.key, { mode: 0o600 });
    const security = {
      network_security: { tls_config: { pin_hashes: [pin] } },
      authentication: { certificate: { ca_cert: ca } },
    };
    writeFileSync(join(home, "config/security.json"), JSON.stringify(security));
    {
      await using daemon = await startDaemon(home);
      using local = await connectSocket(
        daemon.ready.socket,
        readFileSync(join(home, "data/auth/local_token"), "utf8").trim(),
      );
      if (wanted === undefined) {
        const connected = async (): Promise<boolean> =>
          (await local.call("system/health")).service_status.api_connection === "connected";
        await until("the VM to be connected", connected);
      } else {
        const log = (): string => readFileSync(join(home, "logs/daemon.log"), "utf8");
        await until(`the log to say ${String(wanted)}`, () => wanted.test(log()));
        assert.equal((await local.call("system/health")).cloud.last_contact, null);
      }
    }
    await noProcessOf(home);
  }
});
