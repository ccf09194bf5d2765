/**
 * Goal: X3 on the HTTP port over TLS: a client certificate is somebody if our authority vouches for it and a role is given to its name, nobody
 * otherwise; plain HTTP gets nothing, and the names that a page may have called us by are those of our certificate.
 * Method: the real server on loopback with certificates that are made here, asked by node:https.
 */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { get, type RequestOptions } from "node:https";
import { join } from "node:path";
import { describe, test } from "node:test";
import { systemClock } from "@hl/core/clock.ts";
import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import type { CallRecord } from "@hl/protocol/dispatch.ts";
import { shippedRoles } from "@hl/protocol/permissions.ts";
import { makeAuthority, type TestCertificate } from "@hl/testkit/certificates.ts";
import { http, type HttpAnswer } from "@hl/testkit/http.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { CertificateCallers } from "./certificate-callers.ts";
import { HttpServer } from "./http-server.ts";
import { listenerTls, type ListenerTlsFiles } from "./listener-tls.ts";
import { localTokenAuthenticator } from "./local-token.ts";
import { SessionFactory, type SessionFactoryOptions } from "./session.ts";
import { wideConnections, wideRates } from "./testing/wide-limits.ts";

const token = "hl_local_0123456789012345678901234567890";
const authority = makeAuthority();
const own = authority.issue("daemon");
const policy = { minVersion: "TLSv1.3", maxVersion: "TLSv1.3", ciphers: "TLS_AES_256_GCM_SHA384" } as const;

interface Served extends AsyncDisposable {
  readonly address: string;
  readonly records: CallRecord[];
  /** `system/ping` says who asked. */
  ask(options?: RequestOptions, path?: string): Promise<HttpAnswer>;
}

interface Given {
  readonly roles?: Readonly<Record<string, string>> | undefined;
  readonly clientRequired?: boolean;
  readonly clientCa?: boolean;
}

async function serve({ roles, clientRequired = false, clientCa = true }: Given = {}): Promise<Served> {
  const folder = temporaryFolder("hl-https");
  const records: CallRecord[] = [];
  const server = new HttpServer({
    ...{ host: "127.0.0.1", port: 0, clock: systemClock, limits: defaultTransportLimits },
    ...{ ...wideConnections(), allowedOrigins: [] },
    tls: listenerTls(filesIn(folder.path, { ...(clientCa ? {} : { clientCa: undefined }), clientRequired }), policy),
    certificates: roles === undefined ? undefined : new CertificateCallers(roles),
    session: new SessionFactory({
      handlers: {} as unknown as SessionFactoryOptions["handlers"],
      authenticate: localTokenAuthenticator(token),
      ...{ roles: shippedRoles, clock: systemClock, wireError: { stackTrace: false } },
      limits: wideRates(systemClock),
      observe: (record) => records.push(record),
    }),
    ...{ health: () => ({ status: "healthy" }), metrics: () => "hl 1\n", openRpc: () => ({}) },
  });
  await server.start();
  return {
    address: server.address,
    records,
    ask: (options = {}, path = "/openrpc.json") => askOver(`https://${server.address}${path}`, options),
    async [Symbol.asyncDispose]() {
      await server[Symbol.asyncDispose]();
      folder[Symbol.dispose]();
    },
  };
}

function filesIn(folder: string, more: Partial<ListenerTlsFiles> = {}): ListenerTlsFiles {
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content);
    return join(folder, name);
  };
  const [certificate, key] = [file("cert.pem", own.cert), file("key.pem", own.key)];
  return { certificate, key, clientCa: file("ca.pem", authority.cert), clientRequired: false, ...more };
}

function askOver(url: string, options: RequestOptions): Promise<HttpAnswer> {
  const { promise, resolve, reject } = Promise.withResolvers<HttpAnswer>();
  const request = get(url, { ca: authority.cert, agent: false, ...options }, (response) => {
    let text = "";
    response.setEncoding("utf8").on("data", (part: string) => (text += part));
    response.on("error", reject);
    response.on("end", () => {
      const json = text.startsWith("{") ? JSON.parse(text) : undefined;
      resolve({ status: response.statusCode ?? 0, headers: response.headers, text, json });
    });
  });
  request.on("error", reject);
  return promise;
}

const shown = ({ cert, key }: TestCertificate): RequestOptions => ({ cert, key });
const bearer = (value: string): RequestOptions => ({ headers: { authorization: `Bearer ${value}` } });

describe("client certificates", () => {
  test("X3: a name that has a role is somebody, as far as the role goes", async () => {
    await using served = await serve({ roles: { ci: "vm-instance", lone: "nothing" } });
    assert.equal((await served.ask(shown(authority.issue("ci")), "/metrics")).status, 200);
    assert.equal((await served.ask(shown(authority.issue("lone")))).status, 200);
    const refused = await served.ask(shown(authority.issue("lone")), "/metrics");
    assert.equal(refused.status, 403);
    assert.deepEqual([refused.json.error.code, refused.json.error.data.permission], [1002, "system:monitor"]);
    const [record] = served.records;
    assert.deepEqual([record?.method, record?.caller?.subject], ["GET /metrics", "lone"]);
    assert.equal(record?.caller?.credential, "certificate");
  });

  test("X3: a name without a role is nobody; `*` gives one to all others, also to names that every object has", async () => {
    await using strict = await serve({ roles: { ci: "vm-instance" } });
    for (const name of ["other", "constructor", "__proto__", "ci ", "CI", "*"]) {
      const answer = await strict.ask(shown(authority.issue(name)));
      assert.deepEqual([answer.status, answer.json.error.code], [401, 1001], name);
    }
    assert.match((await strict.ask(shown(authority.issue("other")))).json.error.message, /certificate_roles/);
    await using open = await serve({ roles: { "*": "vm-instance" } });
    assert.equal((await open.ask(shown(authority.issue("constructor")))).status, 200);
  });

  test("X3: another authority's certificate under the right name is nobody, and is told why", async () => {
    await using served = await serve({ roles: { "*": "admin", ci: "admin" } });
    const answer = await served.ask(shown(makeAuthority().issue("ci")));
    assert.equal(answer.status, 401);
    assert.match(answer.json.error.message, /certificate is not valid here: [A-Z_]+/);
    assert.equal((await served.ask()).status, 401);
  });

  test("where certificates prove nothing, or no authority is named, only tokens do", async () => {
    for (const given of [{ roles: undefined }, { roles: { "*": "admin" }, clientCa: false }]) {
      await using served = await serve(given);
      assert.equal((await served.ask(shown(authority.issue("ci")))).status, 401);
      assert.equal((await served.ask({ ...shown(authority.issue("ci")), ...bearer(token) })).status, 200);
    }
  });

  test("X3: a token that comes with a request is what counts, also where it is not valid", async () => {
    await using served = await serve({ roles: { ci: "admin" } });
    const certificate = shown(authority.issue("ci"));
    assert.equal((await served.ask({ ...certificate, ...bearer("guess") })).status, 401);
    assert.equal((await served.ask({ ...certificate, headers: { authorization: "Basic x" } })).status, 401);
    assert.equal((await served.ask({ ...certificate, ...bearer(token) }, "/metrics")).status, 200);
  });

  test("X2: where a certificate is required nobody without a valid one is connected, health included", async () => {
    await using served = await serve({ roles: { ci: "vm-instance" }, clientRequired: true });
    await assert.rejects(served.ask({}, "/health"));
    await assert.rejects(served.ask(bearer(token)));
    await assert.rejects(served.ask(shown(makeAuthority().issue("ci")), "/health"));
    assert.equal((await served.ask(shown(authority.issue("other")), "/health")).status, 200);
    assert.equal((await served.ask(shown(authority.issue("ci")), "/metrics")).status, 200);
  });
});

describe("the port itself", () => {
  test("speaks no plain HTTP and no older TLS; health needs nothing", async () => {
    await using served = await serve();
    await assert.rejects(http(`http://${served.address}/health`));
    await assert.rejects(served.ask({ maxVersion: "TLSv1.2" }, "/health"));
    assert.equal((await served.ask({}, "/health")).status, 200);
  });

  test("Host and Origin are judged: our names, and those of the certificate, over https", async () => {
    await using served = await serve();
    const port = served.address.split(":").at(-1) ?? "";
    const status = async (headers: Record<string, string>): Promise<number> =>
      (await served.ask({ headers, checkServerIdentity: () => undefined }, "/health")).status;
    for (const host of [`localhost:${port}`, `[::1]:${port}`]) assert.equal(await status({ host }), 200, host);
    for (const host of [`evil.example:${port}`, "localhost", `127.0.0.2:${port}`, `:${port}`])
      assert.equal(await status({ host }), 403, host);
    assert.equal(await status({ origin: `https://localhost:${port}` }), 200);
    assert.equal(await status({ origin: `http://localhost:${port}` }), 403);
  });

  test("X2: files that are missing or do not fit are told at the start", () => {
    using folder = temporaryFolder("hl-https");
    const files = filesIn(folder.path);
    const { names } = listenerTls(files, policy);
    assert.deepEqual(["localhost", "127.0.0.1", "::1", "daemon", "", "evil.example"].map(names), [
      ...[true, true, true, false, false, false],
    ]);
    const other = join(folder.path, "other.pem");
    writeFileSync(other, authority.issue("other").key);
    const nonsense = join(folder.path, "nonsense.pem");
    writeFileSync(nonsense, "nonsense");
    assert.throws(() => listenerTls({ ...files, key: other }, policy), /tls_key .* is not the key of/);
    assert.throws(
      () => listenerTls({ ...files, certificate: "/nowhere.pem" }, policy),
      /tls_certificate \(\/nowhere.pem\)/,
    );
    for (const [name, key] of [
      ["certificate", "tls_certificate"],
      ["key", "tls_key"],
      ["clientCa", "tls_client_ca"],
    ] as const)
      assert.throws(() => listenerTls({ ...files, [name]: nonsense }, policy), new RegExp(`${key} .* cannot be used`));
  });
});
