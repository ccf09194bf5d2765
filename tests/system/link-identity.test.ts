/**
 * Goal: C4, C5 from outside: what happens to an identity (a copy of the VM, a stolen refresh token) is noticed, harms nobody else, and an
 * operator sees it as an event and as the state of the VM; a certificate that is replaced holds without a restart.
 * Method: the real programs; the thief is an HTTP client with a copy of the token file.
 */
import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { connect } from "node:tls";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { http } from "@hl/testkit/http.ts";
import { makeDaemonHome, printedToken, startCloud, startDaemon, temporaryFolder } from "@hl/testkit/programs.ts";
import { connectSocket } from "@hl/testkit/message-client.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { TestCloud, TestDaemon, testInstanceId } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { FaultProxy } from "./fault-proxy.ts";

/** Asks again soon, so that nobody has to wait for what is measured in minutes. */
const quick = {
  retry_delay: 0.05,
  max_retry_delay: 0.2,
  reconnect_spread: 0.1,
  drain_spread_max: 0.5,
  refused_retry_delay: 0.2,
  refused_retry_delay_max: 0.4,
  heartbeat_interval: 1,
  heartbeat_interval_min: 0.1,
  heartbeat_interval_max: 0.2,
};

describe("the identity of a VM", () => {
  test("C4: a stolen refresh token that was replaced lets nobody in: the identity is fenced, and an operator sees it", async () => {
    await using cloud = await TestCloud.start({ args: ["--access-token-ttl", "2"] });
    await using proxy = await FaultProxy.start(cloud.url);
    await using daemon = await TestDaemon.start({
      config: { cloud_api: { connection: quick } },
      env: {
        HL_CLOUD_API__BASE_URL: proxy.url,
        HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
        HL_DAEMON__INSTANCE_ID: testInstanceId,
        HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
      },
    });
    const operator = cloud.operator(testInstanceId);
    await operator.online();
    const stolen = readFileSync(join(daemon.home, "data/auth/refresh_token"), "utf8").trim();
    const before = proxy.count("/v1/vm/token");
    await until("the VM to renew its tokens three times", () => proxy.count("/v1/vm/token") >= before + 3);
    assert.equal((await operator.instance()).credentials, "valid");

    const params = { refresh_token: stolen, rotation_id: randomUUID() };
    const theft = await http(`${cloud.url}/v1/vm/token`, {
      body: { jsonrpc: "2.0", id: 1, method: "vm/token/refresh", params },
    });
    assert.equal(theft.json.error.data.error_type, "token_superseded");
    const event = await operator.event(({ event_type }) => event_type === "security.credentials_fenced");
    assert.deepEqual([event.lane, event.severity], ["critical", "critical"]);
    assert.equal((await operator.instance()).credentials, "fenced");
    // The VM is out too, since nobody can tell it from the thief; it says so, and keeps its events.
    const local = await daemon.connect();
    await until("the VM to be told", async () => {
      const { alerts } = await local.call("system/health");
      return alerts.some(({ code }: { code: string }) => code === "cloud_token_superseded");
    });
    assert.equal((await operator.instance()).online, false);
    await local.call("event/stream", { event_id: randomUUID(), event_type: "test_mark", timestamp: 0, data: {} });

    writeFileSync(join(daemon.home, "data/auth/enrollment_token"), await cloud.enroll(testInstanceId));
    await operator.online();
    await operator.event(({ event_type }) => event_type === "test_mark");
    assert.equal((await operator.instance()).credentials, "valid");
    const fences = (await operator.events()).filter(({ event_type }) => event_type === "security.credentials_fenced");
    assert.equal(fences.length, 1);
  });

  test("certificates that are replaced on the disk hold for new connections, at the cloud after SIGHUP, at the VM by themselves", async () => {
    using folder = temporaryFolder("hl-link-certificates");
    const file = (name: string): string => join(folder.path, name);
    const [old, fresh] = [makeAuthority("old authority"), makeAuthority("fresh authority")];
    const serveAs = (authority: typeof old): string => {
      const { cert, key } = authority.issue("cloud");
      writeFileSync(file("s.crt"), cert);
      writeFileSync(file("s.key"), key, { mode: 0o600 });
      return cert;
    };
    serveAs(old);
    writeFileSync(file("ca.crt"), old.cert);
    const home = file("cloud");
    const args = ["--tls-cert", file("s.crt"), "--tls-key", file("s.key")];
    await using cloud = await startCloud(home, { args });
    const { url } = cloud.ready;
    const vm = file("vm");
    makeDaemonHome(vm, {
      cloud_api: { base_url: url, connection: quick },
      daemon: { instance_id: "vm-7", workspace_id: "w" },
    });
    const security = {
      network_security: { tls_config: { certificate_pinning: false } },
      authentication: { certificate: { ca_cert: file("ca.crt") } },
    };
    writeFileSync(join(vm, "config/security.json"), JSON.stringify(security));
    const env = { HL_ENROLLMENT_TOKEN: await printedToken(["enroll", "--home", home, "--instance", "vm-7"]) };
    {
      await using daemon = await startDaemon(vm, { env });
      const token = readFileSync(join(vm, "data/auth/local_token"), "utf8").trim();
      using local = await connectSocket(daemon.ready.socket, token);
      const connection = async (): Promise<string> => (await local.call("system/health")).service_status.api_connection;
      await until("the VM to be connected", async () => (await connection()) === "connected");

      // What cannot be used changes nothing; a key of another certificate is what a rotation looks like half way.
      const before = await authorityShown(url);
      writeFileSync(file("s.key"), fresh.issue("cloud").key);
      cloud.signal("SIGHUP");
      await until("the server to say so", () => cloud.stderr.includes("the earlier ones still hold"));
      assert.equal(await authorityShown(url), before);
      assert.equal(before, "old authority");

      serveAs(fresh);
      cloud.signal("SIGHUP");
      await until("the new certificate", async () => (await authorityShown(url)) === "fresh authority");
      assert.equal(await connection(), "connected", "what is connected stays so");
      writeFileSync(file("ca.crt"), fresh.cert);
      const reconnects = (await local.call("system/health")).cloud.reconnects;
      await cloud.stop();
      await using again = await startCloud(home, { args, listen: new URL(url).host });
      await until("the VM to trust the new authority", async () => (await connection()) === "connected");
      assert.ok((await local.call("system/health")).cloud.reconnects > reconnects);
      assert.equal(again.ready.url, url);
    }
    await noProcessOf(vm);
  });
});

/** Who signed the certificate that a server shows. */
function authorityShown(url: string): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port), rejectUnauthorized: false }, () => {
      resolve(String(socket.getPeerCertificate().issuer.CN));
      socket.destroy();
    });
    socket.on("error", reject);
  });
}
