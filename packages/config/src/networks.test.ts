import assert from "node:assert/strict";
import { describe, it } from "node:test";
import fc from "fast-check";
import { cipherSuite, isTls13CipherSuite, KNOWN_CIPHER_SUITES, openSslCipherSuite } from "./cipher-suites.ts";
import { isLoopbackHost, networkEntryMatches, parseNetworkEntry, serviceUrl } from "./networks.ts";

describe("parseNetworkEntry", () => {
  for (const text of [
    "api.humanlayer.dev",
    "localhost:22",
    "169.254.169.254",
    "10.0.0.0/8",
    "::1",
    "[::1]:443",
    "fd00::/8",
    "*.example.com",
    "*.example.com:8443",
    "API.Example.COM",
    "host.",
  ])
    it(`accepts ${text}`, () => assert.ok(parseNetworkEntry(text)));
  for (const text of [
    "",
    "a b",
    "http://example.com",
    "example.com/path",
    "10.0.0.0/33",
    "300.1.2.3",
    "host:0",
    "host:65536",
    "*",
    "a.*.com",
    "-a.com",
    "fd00::/129",
    "[10.0.0.1]:80",
    "host:",
  ])
    it(`refuses ${JSON.stringify(text)}`, () => assert.equal(parseNetworkEntry(text), undefined));
  it("never throws", () => fc.assert(fc.property(fc.string(), (text) => void parseNetworkEntry(text))));
});

describe("networkEntryMatches", () => {
  const cases: [string, string, number, boolean][] = [
    ["api.example.com", "API.example.com", 443, true],
    ["api.example.com", "api.example.com.", 443, true],
    ["api.example.com", "xapi.example.com", 443, false],
    ["*.example.com", "a.b.example.com", 443, true],
    ["*.example.com", "example.com", 443, false],
    ["localhost:22", "localhost", 22, true],
    ["localhost:22", "localhost", 23, false],
    ["10.0.0.0/8", "10.200.3.4", 443, true],
    ["10.0.0.0/8", "11.0.0.1", 443, false],
    ["10.0.0.0/8", "ten.example.com", 443, false],
    ["::1", "[::1]", 443, true],
    ["fd00::/8", "fd12::1", 443, true],
    ["127.0.0.1", "::1", 443, false],
    ["127.0.0.1", "::ffff:7f00:1", 443, true],
    ["::ffff:127.0.0.1", "127.0.0.1", 443, true],
    ["[::ffff:7f00:1]:80", "127.0.0.1", 80, true],
    ["::ffff:10.0.0.0/104", "10.1.2.3", 443, true],
    ["::ffff:10.0.0.0/104", "11.1.2.3", 443, false],
  ];
  for (const [entry, host, port, expected] of cases)
    it(`${entry} ${expected ? "covers" : "leaves out"} ${host}:${port}`, () => {
      const parsed = parseNetworkEntry(entry);
      assert.ok(parsed);
      assert.equal(networkEntryMatches(parsed, host, port), expected);
    });
});

describe("serviceUrl", () => {
  for (const text of [
    "https://api.humanlayer.dev",
    "http://127.0.0.1:8090",
    "http://localhost:1",
    "http://[::1]:80",
    "https://h/v1",
  ])
    it(`accepts ${text}`, () => assert.ok(serviceUrl.safeParse(text).success));
  for (const text of [
    "http://api.humanlayer.dev",
    "ftp://h",
    "api.humanlayer.dev",
    "",
    "https://u:p@h",
    "https://h?x",
    "http://127.0.0.1.example.com",
    "http://0.0.0.0",
  ])
    it(`refuses ${JSON.stringify(text)}`, () => assert.ok(!serviceUrl.safeParse(text).success));
  it("knows loopback", () =>
    assert.deepEqual(["127.3.2.1", "[::1]", "LOCALHOST", "10.0.0.1", "127.example.com"].map(isLoopbackHost), [
      true,
      true,
      true,
      false,
      false,
    ]));
});

describe("cipher suites", () => {
  it("maps every known name to a suite of this Node", () => {
    for (const name of KNOWN_CIPHER_SUITES) assert.ok(openSslCipherSuite(name), name);
    assert.equal(openSslCipherSuite("TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384"), "ECDHE-RSA-AES256-GCM-SHA384");
    assert.equal(openSslCipherSuite("ecdhe-rsa-aes128-gcm-sha256"), "ECDHE-RSA-AES128-GCM-SHA256");
    assert.deepEqual(["TLS_AES_128_GCM_SHA256", "ECDHE-RSA-AES128-GCM-SHA256"].map(isTls13CipherSuite), [true, false]);
  });
  it("tells unknown names from weak ones", () => {
    const message = (name: string): string => cipherSuite.safeParse(name).error?.issues[0]?.message ?? "";
    assert.match(message("TLS_RSA_WITH_RC4_128_MD5"), /not a known cipher suite/);
    assert.match(message("AES256-SHA"), /without forward secrecy/);
    assert.match(message("constructor"), /not a known/);
  });
});
