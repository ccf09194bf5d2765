/** Goal: no DNS rebinding and no request forged by a page: a table of what Host and Origin say, and the verdict. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { judgeOrigin } from "./origin.ts";

const judge = (
  headers: { readonly host?: string; readonly origin?: string },
  { port = 8080, host = "127.0.0.1", allowed = [] as string[] } = {},
): string | undefined => judgeOrigin(headers, { address: host, family: "IPv4", port }, host, allowed);

test("origin: a program on this machine names the daemon by any of its local names and sends no Origin", () => {
  for (const host of ["127.0.0.1:8080", "localhost:8080", "LOCALHOST:8080", "[::1]:8080"]) {
    assert.equal(judge({ host }), undefined, host);
  }
  assert.equal(judge({ host: "localhost" }, { port: 80 }), undefined);
});

test("origin: a Host that is not ours is refused, whatever it resolves to", () => {
  const foreign = [
    "evil.example:8080",
    "127.0.0.1",
    "localhost",
    "127.0.0.1:8081",
    "127.0.0.1:80",
    "127.0.0.1:8080.evil.example",
    "127.0.0.1:8080@evil.example",
    "localhost.evil.example:8080",
    "127.0.0.1.nip.io:8080",
    "127.1:8080",
    "2130706433:8080",
    "0x7f.0.0.1:8080",
    "0.0.0.0:8080",
    "localhost.:8080",
    "::1:8080",
    "[::ffff:127.0.0.1]:8080",
    "169.254.169.254:8080",
    "127.0.0.1:08080",
    " 127.0.0.1:8080",
    "127.0.0.1:8080, evil.example",
    "",
  ];
  for (const host of foreign) assert.match(judge({ host }) ?? "", /Host header/, host);
  assert.match(judge({}) ?? "", /Host header/);
});

test("origin: a page may call only from the daemon's own origin or one that is configured, spelled exactly so", () => {
  const host = "127.0.0.1:8080";
  const allowed = ["https://console.example"];
  for (const origin of ["http://127.0.0.1:8080", "http://localhost:8080", "https://console.example"]) {
    assert.equal(judge({ host, origin }, { allowed }), undefined, origin);
  }
  const foreign = [
    "null",
    "",
    "https://evil.example",
    "http://127.0.0.1",
    "http://127.0.0.1:8081",
    "https://127.0.0.1:8080",
    "http://127.0.0.1:8080.evil.example",
    "http://localhost:8080/",
    "https://console.example.evil.example",
    "https://sub.console.example",
    "http://console.example",
    "chrome-extension://x",
    "file://",
  ];
  for (const origin of foreign) assert.match(judge({ host, origin }, { allowed }) ?? "", /origin/, origin);
});

test("origin: the configured address counts in the form that callers send it", () => {
  assert.equal(judge({ host: "vm-7.internal:8080" }, { host: "VM-7.internal" }), undefined);
  assert.equal(judge({ host: "[fd00::7]:8080", origin: "http://[fd00::7]:8080" }, { host: "fd00::7" }), undefined);
  assert.match(judge({ host: "::1:8080" }, { host: "::1" }) ?? "", /Host header/);
});
