/** Goal: the proxy's variables mean what they mean to every other program, and a wrong one is told without its password. Method: tables. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { parseAuthority } from "./destination.ts";
import { basicAuthorization, ProxySettings, ProxyVariableInvalid } from "./proxy-settings.ts";

const proxyOf = (environment: Record<string, string>, to = "a.example"): string | undefined => {
  const proxy = ProxySettings.from(environment)?.proxyFor(parseAuthority(to, 443)!);
  return proxy === undefined ? undefined : `${proxy.isTls ? "https" : "http"} ${proxy.host} ${proxy.port}`;
};

describe("the proxy's variables", () => {
  test("the first that is set counts, and an empty one means none", () => {
    assert.equal(proxyOf({}), undefined);
    assert.equal(proxyOf({ HTTPS_PROXY: "http://p:3128" }), "http p 3128");
    assert.equal(proxyOf({ HTTPS_PROXY: "http://p:3128", https_proxy: "http://q:1" }), "http q 1");
    assert.equal(proxyOf({ ALL_PROXY: "https://p" }), "https p 443");
    assert.equal(proxyOf({ ALL_PROXY: "http://p", HTTPS_PROXY: "" }), undefined);
    assert.equal(proxyOf({ HTTP_PROXY: "http://p" }), undefined);
    assert.equal(proxyOf({ https_proxy: "Proxy.Example.:8080" }), "http proxy.example 8080");
    assert.equal(proxyOf({ https_proxy: "http://[::1]:8080/" }), "http ::1 8080");
  });

  test("NO_PROXY: hosts with what is below them, addresses, ranges, ports, everything; loopback is direct always", () => {
    const through = (noProxy: string, to?: string): boolean =>
      proxyOf({ HTTPS_PROXY: "http://p", NO_PROXY: noProxy }, to) !== undefined;
    for (const noProxy of [
      "a.example",
      ".example",
      "*.example",
      "example",
      " x , A.EXAMPLE",
      "x a.example",
      "*",
      "a.example:443",
    ])
      assert.equal(through(noProxy), false, noProxy);
    for (const noProxy of ["", "b.example", "xample", "a.example:444", "93.0.0.0/8"])
      assert.equal(through(noProxy), true, noProxy);
    assert.equal(through("10.0.0.0/8", "10.1.2.3"), false);
    assert.equal(through("10.0.0.0/8", "[::ffff:10.1.2.3]"), false);
    assert.equal(through("10.0.0.0/8", "11.1.2.3"), true);
    for (const to of ["localhost", "x.localhost", "127.0.0.1", "[::1]", "[::ffff:127.0.0.1]"])
      assert.equal(through("", to), false, to);
  });

  test("X4: a name and a password are decoded, and are secrets; a wrong variable is told without them", () => {
    const settings = ProxySettings.from({ HTTPS_PROXY: "http://us%40er:p%3Aw%20d@p:3128" })!;
    assert.deepEqual(settings.proxy.credentials, { user: "us@er", password: "p:w d" });
    assert.equal(basicAuthorization({ user: "us@er", password: "p:w d" }), `Basic ${btoa("us@er:p:w d")}`);
    assert.deepEqual(Object.values(settings.secrets), ["p:w d", `Basic ${btoa("us@er:p:w d")}`]);
    assert.deepEqual(ProxySettings.from({ HTTPS_PROXY: "http://p" })!.secrets, {});
    const wrong = [
      "socks5://user:geheim@p:1080",
      "http://user:geheim@",
      "http://user:geheim@p/path",
      "http://user:geheim@p?x",
      "http://user:geheim%zz@p",
      "user:geheim@p p",
      "http://user:geheim@a..b",
    ];
    for (const value of wrong) {
      assert.throws(
        () => ProxySettings.from({ https_proxy: value }),
        (error) => {
          assert.ok(error instanceof ProxyVariableInvalid, value);
          assert.match(error.message, /^https_proxy .*http:\/\/HOST:PORT/);
          return !error.message.includes("geheim");
        },
      );
    }
    assert.throws(() => ProxySettings.from({ HTTPS_PROXY: "http://p", no_proxy: "a b/c" }), /no_proxy has "b\/c"/);
  });
});
