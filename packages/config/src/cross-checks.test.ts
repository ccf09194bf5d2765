import assert from "node:assert/strict";
import { describe, it } from "node:test";
import type { Problem } from "./problem.ts";
import { tlsPolicy } from "./tls-policy.ts";
import { accepted, load, refused, short } from "./testing.ts";

const warningsOf = (files: Record<string, unknown>): string[] => short(accepted(files).warnings);
const one = (problems: readonly Problem[], pattern: RegExp): void => {
  assert.equal(problems.length, 1, JSON.stringify(problems));
  assert.match(short(problems)[0] ?? "", pattern);
};
const tls = (config: object): Record<string, unknown> => ({
  "security.json": { network_security: { tls_config: config } },
});
const cloud = (base_url: string, security: object = {}): Record<string, unknown> => ({
  "daemon.json": { cloud_api: { base_url }, security },
});

describe("limits", () => {
  it("process_timeout above max_execution_time is a problem where it was set, and follows where it was not", () => {
    one(
      refused({ "daemon.json": { process_management: { process_timeout: 3600 } } }),
      /process_timeout: is longer than .*1800 s/,
    );
    const limits = { resource_limits: { max_execution_time: 100 } };
    assert.equal(
      accepted({ "daemon.json": { process_management: limits } }).daemon.process_management.process_timeout,
      100,
    );
    one(refused({ "daemon.json": { process_management: { ...limits, process_timeout: 101 } } }), /process_timeout/);
    one(
      refused({}, { env: { HL_PROCESS_MANAGEMENT__PROCESS_TIMEOUT: "1h" } }),
      /^HL_PROCESS_MANAGEMENT__PROCESS_TIMEOUT: is longer/,
    );
  });
  it("a broken value causes no second problem", () => {
    one(
      refused({
        "daemon.json": { process_management: { process_timeout: 3600, resource_limits: { max_execution_time: "x" } } },
      }),
      /max_execution_time/,
    );
  });
  it("one broken key does not hide the checks of others", () => {
    const problems = refused(
      { "daemon.json": { logging: { level: 1 }, process_management: { process_timeout: 3600 } } },
      { env: { HL_LOGGING__X: "" } },
    );
    assert.equal(problems.length, 3);
  });
  it("a socket path that the kernel cannot hold is a problem, also where it comes from home", () => {
    one(refused({ "daemon.json": { local_api: { socket_path: `/${"x".repeat(107)}` } } }), /108 bytes/);
    accepted({ "daemon.json": { local_api: { socket_path: `/${"x".repeat(106)}` } } });
    const result = load({}, { home: `/${"x".repeat(100)}` });
    assert.ok(!result.ok);
    one(result.problems, /socket_path: is .* bytes long/);
  });
  it("delays must fit each other", () => {
    one(
      refused({ "daemon.json": { cloud_api: { connection: { ping_interval: 60 } } } }),
      /ping_interval: is not longer|dead_after|would count as dead/,
    );
    one(refused({ "daemon.json": { cloud_api: { connection: { retry_delay: 61 } } } }), /longer than max_retry_delay/);
    for (const pair of ["refused_retry_delay", "revoked_retry_delay"]) {
      const connection = { [pair]: 9, [`${pair}_max`]: 8 };
      one(refused({ "daemon.json": { cloud_api: { connection } } }), new RegExp(`longer than ${pair}_max`));
    }
    const connection = { heartbeat_interval_min: 301 };
    one(refused({ "daemon.json": { cloud_api: { connection } } }), /longer than heartbeat_interval_max/);
    one(refused({ "daemon.json": { event_streaming: { max_queue_bytes: "100KB" } } }), /larger than the whole queue/);
    one(refused({ "security.json": { authentication: { jwt: { expiry: 300 } } } }), /renewed without end/);
  });
});

describe("cloud", () => {
  it("plain http only to loopback, no credentials inside", () => {
    one(refused(cloud("http://hl.example")), /plain http is allowed only to a loopback/);
    one(refused(cloud("https://user:word@hl.example")), /user name or password/);
    accepted(cloud("http://127.0.0.1:8090"));
  });
  it("its host is allowed and its keys are its own, unless somebody says otherwise", () => {
    const { daemon, security } = accepted(cloud("https://hl.example:8443"));
    assert.deepEqual(daemon.security.allowed_networks, ["api.humanlayer.dev", "releases.humanlayer.dev", "hl.example"]);
    assert.equal(security.authentication.jwt.public_key_url, "https://hl.example:8443/.well-known/jwks.json");
    const covered = accepted(
      cloud("https://hl.example", { allowed_networks: ["*.example", "hl.*".replace("*", "example")] }),
    );
    assert.equal(covered.daemon.security.allowed_networks.at(-1), "hl.example");
    const wide = accepted(cloud("https://a.hl.example", { allowed_networks: ["*.hl.example"] }));
    assert.deepEqual(wide.daemon.security.allowed_networks, ["*.hl.example"]);
    const own = { authentication: { jwt: { public_key_url: "https://keys.example/jwks" } } };
    assert.ok(
      warningsOf({ ...cloud("https://hl.example"), "security.json": own }).some((text) =>
        text.includes("another host"),
      ),
    );
  });
  it("a blocked cloud, or one that nobody verifies, is a problem", () => {
    one(refused(cloud("https://10.1.2.3", { blocked_networks: ["10.0.0.0/8"] })), /could never connect/);
    one(refused(cloud("https://hl.example", { certificate_validation: false })), /only a loopback cloud/);
    accepted(cloud("https://127.0.0.1:8443", { certificate_validation: false }));
  });
  it("X2: events in the clear are a problem, wherever the cloud is not this machine", () => {
    const open = (base_url: string): Record<string, unknown> => ({
      "daemon.json": { cloud_api: { base_url }, event_streaming: { encryption: false } },
    });
    one(refused(open("https://hl.example")), /encryption: cannot be false for hl.example: .* over TLS alone/);
    accepted(open("http://127.0.0.1:7070"));
    one(refused(cloud("http://hl.example")), /must use https/);
  });
});

describe("TLS", () => {
  it("versions must leave one", () => {
    one(refused(tls({ min_version: "1.3", max_version: "1.2" })), /min_version: is above max_version/);
    one(refused(tls({ max_version: "1.2" })), /no version is left/);
    one(refused(tls({ min_version: "1.1" })), /min_version: must be "1.2" or "1.3"/);
    accepted({ ...tls({ min_version: 1.3 }), "daemon.json": { security: { tls_version: 1.3 } } });
  });
  it("suites must be known and fit the versions", () => {
    one(
      refused(tls({ cipher_suites: ["TLS_AES_256_GCM_SHA384", "TLS_RC4"] })),
      /cipher_suites\/1: is not a known cipher suite/,
    );
    const [slip] = refused(tls({ cipher_suites: ["TLS_AES_256_GCM_SHA348"] }));
    assert.equal(slip?.suggestion, 'did you mean "TLS_AES_256_GCM_SHA384"?');
    one(refused(tls({ cipher_suites: ["ECDHE-RSA-AES128-GCM-SHA256"] })), /no suite of TLS 1.3/);
    one(
      refused({
        ...tls({ max_version: "1.2", cipher_suites: ["TLS_AES_128_GCM_SHA256"] }),
        "daemon.json": { security: { tls_version: "1.2" } },
      }),
      /no suite of TLS 1.2/,
    );
  });
  it("what is switched off is off in the policy", () => {
    const policy = tlsPolicy(
      accepted({
        "daemon.json": { security: { tls_version: "1.2", certificate_validation: false } },
        "security.json": {
          authentication: { certificate: { verify_hostname: false } },
          network_security: { tls_config: { max_version: "1.2", cipher_suites: ["ECDHE-RSA-AES128-GCM-SHA256"] } },
        },
      }),
    );
    assert.deepEqual(
      [policy.minVersion, policy.maxVersion, policy.rejectUnauthorized, policy.verifyHostname],
      ["TLSv1.2", "TLSv1.2", false, false],
    );
  });
  it("pins: malformed and missing ones are problems, the placeholder is a warning where it matters", () => {
    one(refused(tls({ pin_hashes: ["sha256:abc"] })), /pin_hashes\/0: must be "sha256:"/);
    one(refused(tls({ pin_hashes: [] })), /is empty although/);
    accepted(tls({ pin_hashes: [], certificate_pinning: false }));
    assert.ok(warningsOf(cloud("https://hl.example")).some((text) => text.includes("only the placeholder pin")));
    assert.deepEqual(warningsOf(cloud("http://127.0.0.1:1")), []);
  });
  it("the policy is the stricter of both files", () => {
    assert.deepEqual(tlsPolicy(accepted({})), {
      minVersion: "TLSv1.3",
      maxVersion: "TLSv1.3",
      ciphers: "TLS_AES_256_GCM_SHA384:TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES256-GCM-SHA384",
      rejectUnauthorized: true,
      verifyHostname: true,
      pins: [],
      pinReportOnly: false,
    });
    const suites = {
      cipher_suites: ["TLS_AES_128_GCM_SHA256", "ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"],
      certificate_pinning: false,
    };
    const config = accepted({ ...tls(suites), "daemon.json": { security: { tls_version: "1.2" } } });
    const policy = tlsPolicy(config, true);
    assert.deepEqual(
      [policy.minVersion, policy.ciphers, policy.pins],
      ["TLSv1.2", "TLS_AES_128_GCM_SHA256:ECDHE-RSA-AES128-GCM-SHA256", undefined],
    );
    const own = { cipher_suites: ["TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"] };
    const withOwn = accepted({
      "security.json": { network_security: { tls_config: suites }, authentication: { certificate: own } },
      "daemon.json": { security: { tls_version: "1.2" } },
    });
    assert.equal(tlsPolicy(withOwn, true).ciphers, "TLS_AES_128_GCM_SHA256:ECDHE-ECDSA-AES128-GCM-SHA256");
    const stricter = accepted({ ...tls({ min_version: "1.3" }), "daemon.json": { security: { tls_version: "1.2" } } });
    assert.equal(tlsPolicy(stricter).minVersion, "TLSv1.3");
  });
});

describe("pins, certificates and rules", () => {
  const both = (base_url: string, security: object, daemon: object = {}): Record<string, unknown> => ({
    "daemon.json": { cloud_api: { base_url, ...daemon } },
    "security.json": security,
  });
  const pin = (letter: string): string => `sha256:${letter.repeat(43)}=`;
  const pinned = (keys: object): Record<string, unknown> =>
    both("https://hl.example", { network_security: { tls_config: keys } });
  const rules = (...firewall_rules: object[]): object => ({ network_security: { firewall_rules } });
  const certificate = (keys: object): object => ({ authentication: { certificate: keys } });

  it("one pin is warned about, two are not, and report-only has nothing to warn about", () => {
    const only = warningsOf(pinned({ pin_hashes: [pin("B"), pin("B"), pin("A")] }));
    assert.match(only.join("\n"), /has one pin: when the server gets another key/);
    assert.equal(only.length, 1);
    assert.deepEqual(warningsOf(pinned({ pin_hashes: [pin("B"), pin("C")] })), []);
    assert.deepEqual(warningsOf(pinned({ pin_report_only: true })), []);
    assert.equal(tlsPolicy(accepted(pinned({ pin_report_only: true }))).pinReportOnly, true);
  });
  it("without names and without pins every server of an authority would do: a warning", () => {
    const open = both("https://hl.example", {
      ...certificate({ verify_hostname: false }),
      network_security: { tls_config: { certificate_pinning: false } },
    });
    assert.match(warningsOf(open).join("\n"), /verify_hostname: lets every server/);
  });
  it("the client certificate is where either file says; two places are a problem", () => {
    const at = (path: string): object => certificate({ client_cert: `${path}.crt`, client_key: `${path}.key` });
    const { auth } = accepted(both("https://hl.example", at("/s/c"))).daemon.cloud_api;
    assert.deepEqual([auth.cert_file, auth.key_file], ["/s/c.crt", "/s/c.key"]);
    const own = { auth: { cert_file: "/d/c.crt" } };
    assert.equal(accepted(both("https://hl.example", {}, own)).daemon.cloud_api.auth.cert_file, "/d/c.crt");
    accepted(both("https://hl.example", at("/d/c"), own));
    one(refused(both("https://hl.example", at("/s/c"), own)), /cert_file: is another file than .*client_cert/);
  });
  it("a deny that hits the cloud is a problem", () => {
    const deny = (destination: string, protocol = "https"): object =>
      rules({ direction: "outbound", protocol, destination, action: "deny" });
    for (const destination of ["any", "hl.example", "*.example", "hl.example:443"])
      one(refused(both("https://hl.example", deny(destination))), /denies hl\.example/);
    one(refused(both("https://hl.example", deny("any", "wss"))), /denies hl\.example/);
    accepted(both("https://hl.example", deny("hl.example:8443")));
    accepted(both("https://hl.example", deny("any", "ssh")));
  });
  it("inbound rules that could not be kept are problems; those about other programs are warned about", () => {
    const inbound = (destination: string, protocol = "any", local_api: object = {}): Record<string, unknown> => ({
      "daemon.json": { local_api: { http_enabled: true, ...local_api } },
      "security.json": rules({ direction: "inbound", protocol, destination, action: "deny" }),
    });
    const told = (files: Record<string, unknown>): string[] => warningsOf(files).filter((text) => /inbound/.test(text));
    for (const destination of ["any", "10.0.0.0/8", "::1", "10.0.0.1:8080", "[fd00::1]:8080"])
      assert.deepEqual(told(inbound(destination)), []);
    assert.deepEqual(told(inbound("10.0.0.1:40000", "any", { http_port: 0 })), []); // Nobody knows yet.
    for (const name of ["hl.example", "*.example", "localhost:8080", "fe80::1%eth0"])
      one(refused(inbound(name)), /the inbound rule "deny any .*", but who connects is known by his address/);
    for (const protocol of ["ws", "wss"])
      one(refused(inbound("any", protocol)), /"deny wss? any", but .* whether it becomes a WebSocket/);
    const others = [inbound("any", "ssh"), inbound("10.0.0.1:22"), inbound("any", "tcp", { http_enabled: false })];
    for (const files of others) assert.match(told(files).join("\n"), /does not listen on/);
  });
});

describe("roles and paths", () => {
  it("the default role must exist, permissions must be known", () => {
    one(refused({ "security.json": { authorization: { default_role: "nobody" } } }), /not a role/);
    const [problem] = refused({
      "security.json": { authorization: { permissions: { "vm-instance": ["file:reed"] } } },
    });
    assert.deepEqual(
      [problem?.pointer, problem?.suggestion],
      ["/authorization/permissions/vm-instance/0", 'did you mean "file:read"?'],
    );
  });
  it("what is weaker than it looks is warned about", () => {
    const texts = warningsOf({
      "daemon.json": {
        security: {
          sandbox_mode: false,
          file_access: { allowed_paths: ["/root/project"], blocked_paths: ["/root", "/root/project/x"] },
        },
        local_api: { http_host: "0.0.0.0" },
        claude_integration: { approvals: { default: "allow" } },
      },
      "security.json": { authorization: { rbac_enabled: false } },
    });
    assert.equal(texts.length, 5);
    assert.ok(texts.some((text) => text.includes("inside the blocked path /root")));
  });
  it("messages to agents are UTF-8 and not compressed, and nothing else is taken for granted", () => {
    for (const communication of [{ encoding: "latin1" }, { compression: true }])
      one(refused({ "daemon.json": { claude_integration: { communication } } }), /must be/);
  });
  it("X2: rules of sanitization that say less, or more, than is checked are warned about", () => {
    const told = (...fields: string[]): string[] =>
      warningsOf({
        "security.json": {
          input_validation: {
            sanitization_rules: fields.map((field) => ({ field, type: "path_traversal", action: "reject" })),
          },
        },
      });
    assert.deepEqual(told("file_path", "command"), []);
    assert.match(told("command").join("\n"), /does not name file_path: checked all the same/);
    assert.match(told("command", "file_path", "url").join("\n"), /fields that have no check of their own/);
    assert.equal(told().length, 1);
  });
  it("a blocked path inside an allowed one is fine; no allowed path at all is not", () => {
    assert.deepEqual(
      warningsOf({
        "daemon.json": { security: { file_access: { allowed_paths: ["/w"], blocked_paths: ["/w/secret", "/ww"] } } },
      }),
      [],
    );
    one(refused({ "daemon.json": { security: { file_access: { allowed_paths: [] } } } }), /at least one path/);
  });
});

describe("network of commands and agents", () => {
  const sandbox = (keys: object, security: object = {}): Record<string, unknown> => ({
    "daemon.json": { security: { ...security, sandbox: keys } },
  });
  it("the entries of the proxy's list have the five forms, and nothing is allowed by default", () => {
    const hosts = ["packages.example", "*.example:443", "10.0.0.0/8", "127.0.0.1:8080", "::1"];
    const { daemon } = accepted(sandbox({ network: "proxy", agent_network: "proxy", proxy_allowed_hosts: hosts }));
    assert.deepEqual(daemon.security.sandbox.proxy_allowed_hosts, hosts);
    assert.deepEqual(accepted({}).daemon.security.sandbox.proxy_allowed_hosts, []);
    one(refused(sandbox({ proxy_allowed_hosts: ["https://a.example/"] })), /proxy_allowed_hosts\/0: must be a host/);
    one(refused(sandbox({ agent_network: "none" })), /agent_network: must be "host" or "proxy"/);
  });
  it("what is weaker or emptier than it looks is warned about", () => {
    const hosts = { proxy_allowed_hosts: ["a.example"] };
    assert.deepEqual(warningsOf(sandbox({ network: "proxy", agent_network: "proxy", ...hosts })), []);
    one(accepted(sandbox({ network: "proxy", ...hosts })).warnings, /leaves agents, and every tool/);
    one(accepted(sandbox({ network: "proxy", agent_network: "proxy" })).warnings, /nothing can be reached/);
    const off = warningsOf(sandbox({ network: "none", agent_network: "proxy", ...hosts }, { sandbox_mode: false }));
    assert.ok(off.some((text) => text.includes("has no effect while sandbox_mode is false")));
  });
  it("X2: the key proxy is refused where agents do not reach it", () => {
    const withKeys = (security: object): Record<string, unknown> => ({
      "daemon.json": { security, claude_integration: { key_proxy: true } },
    });
    const behind = { agent_network: "proxy", proxy_allowed_hosts: ["a.example"] };
    one(refused(withKeys({ sandbox: behind })), /key_proxy: cannot be kept with agent_network "proxy"/);
    accepted(withKeys({ sandbox: behind, sandbox_mode: false }));
    accepted(withKeys({ sandbox: { agent_network: "host" } }));
  });
  it("X4: keys are kept from agents unless that is impossible, which is said where there is a key", () => {
    const behind = { security: { sandbox: { agent_network: "proxy", proxy_allowed_hosts: ["a.example"] } } };
    const keyProxy = (daemon: object): boolean =>
      accepted({ "daemon.json": daemon }).daemon.claude_integration.key_proxy;
    assert.equal(keyProxy({}), true);
    assert.equal(keyProxy({ claude_integration: { key_proxy: false } }), false);
    assert.equal(keyProxy(behind), false);
    const claude_integration = { environment: { ANTHROPIC_API_KEY: "sk-test" } };
    one(accepted({ "daemon.json": { ...behind, claude_integration } }).warnings, /leaves the key/);
    assert.deepEqual(warningsOf({ "daemon.json": { claude_integration } }), []);
  });
  it("X1, X2: commands without a network are refused where agents have a proxy, whose socket commands could reach", () => {
    const hosts = { proxy_allowed_hosts: ["a.example"] };
    one(
      refused(sandbox({ network: "none", agent_network: "proxy", ...hosts })),
      /sandbox\/network: cannot be kept with agent_network "proxy": .*unix socket/,
    );
    accepted(sandbox({ network: "none" }));
    accepted(sandbox({ network: "host", agent_network: "proxy", ...hosts }));
  });
});

describe("who gets in on this machine", () => {
  const files = (local: object, authorization: object = {}): Record<string, unknown> => ({
    "daemon.json": { local_api: local },
    "security.json": { authorization },
  });
  const tls = { tls_certificate: "/c.pem", tls_key: "/k.pem" };
  it("a certificate needs its key, and what is about clients needs both", () => {
    one(refused(files({ tls_certificate: "/c.pem" })), /needs local_api.tls_key/);
    one(refused(files({ tls_key: "/k.pem" })), /needs local_api.tls_certificate/);
    one(refused(files({ tls_client_ca: "/ca.pem" })), /needs local_api.tls_certificate/);
    one(refused(files({ ...tls, tls_client_required: true })), /needs local_api.tls_client_ca/);
  });
  it("paths hang from home, and TLS takes the warning about other machines away", () => {
    const { daemon } = accepted(files({ tls_certificate: "config/c.pem", tls_key: "/k.pem" }));
    assert.match(daemon.local_api.tls_certificate ?? "", /^\/.+\/config\/c\.pem$/);
    const elsewhere = { http_host: "0.0.0.0" };
    assert.equal(warningsOf(files(elsewhere)).length, 1);
    assert.deepEqual(warningsOf(files({ ...elsewhere, ...tls })), []);
  });
  it("a certificate's role must be one; where nothing names any, that is said", () => {
    const client = { ...tls, tls_client_ca: "/ca.pem" };
    one(refused(files(client, { certificate_roles: { ci: "nope" } })), /is the role of "ci" and not in/);
    assert.deepEqual(warningsOf(files(client, { certificate_roles: { ci: "admin", "*": "vm-instance" } })), []);
    assert.match(warningsOf(files(client)).join(), /names no client certificate/);
  });
});
