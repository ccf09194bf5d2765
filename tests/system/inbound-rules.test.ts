/**
 * Goal: X1: whom a rule refuses gets nothing from the HTTP port, no health and no handshake, and is told in the log with the rule; others are served.
 * Method: the real daemon, with and without TLS, asked from several addresses of loopback.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { test } from "node:test";
import { connect as connectTls } from "node:tls";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const rule = (action: string, destination: string, protocol = "any"): object => ({
  ...{ direction: "inbound", protocol, destination, action },
});

async function daemonWith(firewall_rules: readonly object[], isTls = false): Promise<TestDaemon> {
  return TestDaemon.start({
    config: isTls ? { local_api: { tls_certificate: "config/own.crt", tls_key: "config/own.key" } } : {},
    prepare: (home) => {
      mkdirSync(join(home, "config"), { recursive: true });
      writeFileSync(join(home, "config/security.json"), JSON.stringify({ network_security: { firewall_rules } }));
      const own = makeAuthority().issue("daemon");
      writeFileSync(join(home, "config/own.crt"), own.cert);
      writeFileSync(join(home, "config/own.key"), own.key, { mode: 0o600 });
      return { [Symbol.dispose]: () => {} };
    },
  });
}

/** What comes back to `GET /health`; nothing where the connection ends without a word. */
async function health(daemon: TestDaemon, localAddress: string, isTls = false): Promise<string> {
  const [host = "", port] = daemon.program.ready.http?.split(":") ?? [];
  const tcp = connect({ host, port: Number(port), localAddress });
  tcp.on("error", () => {});
  const socket = isTls ? connectTls({ socket: tcp, rejectUnauthorized: false }) : tcp;
  socket.on("error", () => {});
  let text = "";
  socket.on("data", (bytes: Buffer) => (text += bytes.toString()));
  socket.write(`GET /health HTTP/1.1\r\nhost: ${host}:${port}\r\nconnection: close\r\n\r\n`);
  await new Promise((resolve) => void socket.once("close", resolve)); // Also behind an error: it may be reset.
  return text.split("\r\n", 1)[0] ?? "";
}

const served = "HTTP/1.1 200 OK";

for (const isTls of [false, true]) {
  test(`X1: inbound rules decide who may connect to the HTTP port${isTls ? ", before TLS" : ""}`, async () => {
    const denies = rule("deny", "127.0.0.3", isTls ? "https" : "http");
    await using daemon = await daemonWith([rule("allow", "127.0.0.2/31"), denies], isTls);
    assert.equal(await health(daemon, "127.0.0.2", isTls), served);
    for (const refused of ["127.0.0.3", "127.0.0.1", "127.0.0.4"])
      assert.equal(await health(daemon, refused, isTls), "", refused);
    await until("the log to name the rules", () => {
      const { log } = daemon;
      return (
        /"from":"127\.0\.0\.3".*inbound deny https? 127\.0\.0\.3/.test(log) &&
        /"127\.0\.0\.4".*no inbound allow/.test(log)
      );
    });
    assert.equal(await health(daemon, "127.0.0.2", isTls), served);
    using client = await daemon.connect(); // The socket is not a matter of rules.
    assert.equal((await client.call("system/health")).status, "healthy");
  });
}

test("a daemon whose inbound rules could not be kept does not start, and says which", async () => {
  await assert.rejects(
    daemonWith([rule("deny", "bad.example")]),
    /inbound rule "deny any bad\.example", but who connects is known by his address alone/,
  );
});
