/**
 * Goal: X2, X3 from outside: the HTTP port over TLS, with client certificates as callers, reached by our own programs with the field's usual flags.
 * Method: the real programs with certificates that are made here.
 */
import assert from "node:assert/strict";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { http } from "@hl/testkit/http.ts";
import { runProgram, startDaemon } from "@hl/testkit/programs.ts";
import { TestDaemon, type DaemonOptions } from "@hl/testkit/system.ts";

const authority = makeAuthority();

/** Where a home has its certificates. */
const pem = (home: string, name: string): string => join(home, "pem", name);

function prepare(authorization: object): DaemonOptions["prepare"] {
  return (home) => {
    mkdirSync(join(home, "pem"));
    mkdirSync(join(home, "config"), { recursive: true });
    writeFileSync(pem(home, "ca.pem"), authority.cert);
    for (const name of ["daemon", "ci", "looker", "other"]) {
      const { cert, key } = authority.issue(name);
      writeFileSync(pem(home, `${name}.pem`), cert);
      writeFileSync(pem(home, `${name}.key`), key);
    }
    const stranger = makeAuthority().issue("ci");
    writeFileSync(pem(home, "stranger.pem"), stranger.cert);
    writeFileSync(pem(home, "stranger.key"), stranger.key);
    writeFileSync(join(home, "config/security.json"), JSON.stringify({ authorization }));
    return { [Symbol.dispose]: () => {} };
  };
}

const listener = {
  tls_certificate: "pem/daemon.pem",
  tls_key: "pem/daemon.key",
  tls_client_ca: "pem/ca.pem",
} as const;
const authorization = {
  certificate_roles: { ci: "vm-instance", looker: "looker" },
  permissions: { "vm-instance": ["process:execute", "system:monitor", "file:read"], looker: ["system:monitor"] },
};

test("X3: hl-client over https: as whom its certificate names, with a token where one is named, and as nobody else", async () => {
  await using daemon = await TestDaemon.start({ prepare: prepare(authorization), config: { local_api: listener } });
  assert.equal((daemon.program.ready as unknown as { https?: boolean }).https, true);
  const url = `https://${daemon.program.ready.http}`;
  const { home } = daemon;
  const certificate = (name: string): string[] => [
    "--cert",
    pem(home, `${name}.pem`),
    "--key",
    pem(home, `${name}.key`),
  ];
  const client = async (args: readonly string[]): ReturnType<TestDaemon["client"]> =>
    daemon.client(["--url", url, "--cacert", pem(home, "ca.pem"), ...args]);

  const ran = await client([...certificate("ci"), "exec", "--", "echo", "hello"]);
  assert.deepEqual([ran.stdout.toString(), ran.code], ["hello\n", 0], ran.stderr);
  const refused = await client([...certificate("looker"), "exec", "--", "echo", "hello"]);
  assert.notEqual(refused.code, 0);
  assert.match(refused.stderr, /process:execute/);
  assert.equal((await client([...certificate("looker"), "--json", "ps"])).code, 77);
  for (const name of ["other", "stranger"]) {
    const nobody = await client([...certificate(name), "rpc", "system/ping"]);
    assert.equal(nobody.code, 77, `${name}: ${nobody.stderr}`);
  }
  // Without a certificate the local token, and with both the token that was named.
  assert.equal((await client(["rpc", "system/ping"])).code, 0);
  const both = [...certificate("looker"), "--token-file", join(home, "data/auth/local_token")];
  assert.equal((await client([...both, "ps"])).code, 0);
  // A server that nobody vouches for gets neither.
  const untrusting = await daemon.client(["--url", url, "rpc", "system/ping"]);
  assert.equal(untrusting.code, 69);
  assert.match(untrusting.stderr, /certificate/);
  assert.equal((await client(["--cert", pem(home, "ci.pem"), "rpc", "system/ping"])).code, 64);

  // The address that the daemon wrote down says https by itself.
  const check = async (args: readonly string[], env: Record<string, string> = {}): Promise<string> => {
    const told = await runProgram("hl-health-check", args, { env: { HL_DAEMON_HOME: home, ...env } });
    return told.stdout.toString();
  };
  assert.match(await check(["--cacert", pem(home, "ca.pem")]), /^(?:healthy|degraded)/);
  assert.match(await check([], { HL_CACERT: pem(home, "ca.pem") }), /^(?:healthy|degraded)/);
  assert.match(await check([]), /^unreachable: https:.*certificate/);
  await assert.rejects(http(`http://${daemon.program.ready.http}/health`));
});

test("X2: where a client certificate is required, probes need one too; files that do not fit stop the start", async () => {
  const config = { local_api: { ...listener, tls_client_required: true } };
  await using daemon = await TestDaemon.start({ prepare: prepare(authorization), config });
  const { home } = daemon;
  const ca = ["--cacert", pem(home, "ca.pem")];
  assert.match((await daemon.healthCheck(ca)).stdout.toString(), /^unreachable/);
  const shown = [...ca, "--cert", pem(home, "other.pem"), "--key", pem(home, "other.key")];
  assert.match((await daemon.healthCheck(shown)).stdout.toString(), /^(?:healthy|degraded)/);
  await daemon.kill();
  writeFileSync(pem(home, "daemon.key"), authority.issue("another").key);
  await assert.rejects(startDaemon(home), /tls_key .* is not the key of local_api\.tls_certificate/);
});
