/**
 * Goal: X1: what may be reached is what the lists name; no name, spelling or form of an address leads to this machine, its network or
 * its cloud's metadata.
 * Method: tables of what people and attackers write, and properties over all addresses.
 */
import assert from "node:assert/strict";
import { isIP } from "node:net";
import { describe, test } from "node:test";
import fc from "fast-check";
import { facesOf, ownAddresses, specialRangeOf } from "../network/addresses.ts";
import { parseAuthority, parsePlainTarget } from "../network/destination.ts";
import type { Verdict } from "../network/verdict.ts";
import { EgressPolicy } from "./egress-policy.ts";

const reasonOf = (verdict: Verdict): string => (verdict.allowed ? "" : verdict.reason);

/** A request for `host` that has been resolved to `address`. */
function judge(allowed: string[], host: string, address: string, blocked: string[] = [], own: string[] = []): Verdict {
  const policy = new EgressPolicy({ allowed, blocked, ownAddresses: () => own });
  const destination = parseAuthority(host, 443)!;
  const named = policy.judgeHost(destination);
  return named.allowed ? policy.judgeAddress(destination, address) : named;
}

const forbidden = [
  ...["0.0.0.0", "0.1.2.3", "169.254.169.254", "169.254.0.1", "224.0.0.1", "239.255.255.255", "255.255.255.255"],
  ...["::", "fe80::1", "febf::1", "ff02::1", "2001:0:1:2::3", "::ffff:169.254.169.254", "::ffff:a9fe:a9fe"],
  ...["64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1", "::169.254.169.254", "fe80::1%eth0", "::ffff:0:169.254.169.254"],
  ...["168.63.129.16", "::ffff:168.63.129.16", "100.100.100.200", "64:ff9b::6464:64c8"],
];
const loopback = [
  "127.0.0.1",
  "127.1.2.3",
  "::1",
  "::ffff:127.0.0.1",
  "::ffff:7f00:1",
  "64:ff9b::7f00:1",
  "2002:7f00:1::",
];
const inner = [
  "10.0.0.1",
  "172.16.0.1",
  "172.31.255.255",
  "192.168.1.1",
  "fc00::1",
  "fd00:ec2::254",
  "100.100.100.199",
  "::ffff:10.1.1.1",
];
const outer = ["93.184.216.34", "172.32.0.1", "11.0.0.1", "2606:2800:220:1::1", "::ffff:93.184.216.34"];

describe("egress policy: addresses", () => {
  test("X1: a name on the list leads to public addresses and to no others, in whatever form", () => {
    for (const address of outer) assert.deepEqual(judge(["a.example"], "a.example", address).allowed, true, address);
    for (const address of [...forbidden, ...loopback, ...inner, "", "nonsense", "1.2.3"]) {
      assert.equal(judge(["a.example", "*.example"], "a.example", address).allowed, false, address);
    }
  });

  test("X1: wide ranges mean the internet: they open neither this machine nor its network", () => {
    const wide = ["0.0.0.0/0", "::/0", "a.example", "127.0.0.0/0", "10.0.0.0/7", "192.0.0.0/2", "fc00::/6"];
    for (const address of [...forbidden, ...loopback, ...inner]) {
      assert.equal(judge(wide, "a.example", address).allowed, false, address);
    }
    for (const address of ["10.0.0.1", "127.0.0.1"])
      assert.equal(judge(wide, address, address).allowed, false, address);
    assert.equal(judge(["0.0.0.0/0"], "93.184.216.34", "93.184.216.34").allowed, true);
  });

  test("private and loopback addresses are opened by an entry that names them, at its port; a name needs its own entry too", () => {
    assert.equal(judge(["10.1.0.0/16"], "10.1.2.3", "10.1.2.3").allowed, true);
    assert.equal(judge(["10.1.0.0/16"], "10.2.2.3", "10.2.2.3").allowed, false);
    assert.equal(judge(["10.1.0.0/16", "db.example"], "db.example", "10.1.2.3").allowed, true);
    assert.match(reasonOf(judge(["10.1.0.0/16"], "db.example", "10.1.2.3")), /not on the list/);
    assert.equal(judge(["127.0.0.1:8080"], "127.0.0.1:8080", "127.0.0.1").allowed, true);
    assert.equal(judge(["127.0.0.1:8080"], "127.0.0.1:22", "127.0.0.1").allowed, false);
    assert.equal(judge(["127.0.0.1"], "[::ffff:127.0.0.1]:80", "::ffff:127.0.0.1").allowed, true);
    assert.equal(judge(["::1"], "127.0.0.1", "127.0.0.1").allowed, false);
    const mixed = judge(["127.0.0.1:8080", "localhost:22"], "localhost:22", "127.0.0.1");
    assert.match(
      reasonOf(mixed),
      /loopback address.*add "127\.0\.0\.1:22" itself to security\.sandbox\.proxy_allowed_hosts/,
    );
  });

  test("X1: an address of the machine's own is opened by an entry that names that very address, public or private, and by nothing else", () => {
    const own = ["93.184.216.34", "10.1.2.3", "2606:2800:220:1::1", "127.0.0.1", "fe80::1"];
    const judged = (allowed: string[], address: string, host = "a.example"): Verdict =>
      judge(["a.example", ...allowed], host, address, [], own);
    for (const address of [...own, "::ffff:93.184.216.34", "2002:5db8:d822::1", "2606:2800:220:1:0:0:0:1"]) {
      const wide = ["0.0.0.0/0", "93.184.216.0/24", "10.1.2.0/24", "2606:2800:220:1::/64"];
      assert.equal(judged(wide, address).allowed, false, address);
    }
    assert.match(
      reasonOf(judged(["10.0.0.0/8"], "10.1.2.3")),
      /this machine's own address.*add "10\.1\.2\.3:443" itself/,
    );
    assert.equal(judged(["10.0.0.0/8"], "10.1.2.4").allowed, true, "its neighbour");
    assert.equal(judged([], "93.184.216.35").allowed, true, "its neighbour");
    for (const entry of ["10.1.2.3", "10.1.2.3/32", "10.1.2.3:443"]) {
      assert.equal(judged([entry], "10.1.2.3").allowed, true, entry);
      assert.equal(judged([entry], "10.1.2.3", "10.1.2.3").allowed, true, entry);
    }
    assert.equal(judged(["2606:2800:220:1::1"], "2606:2800:220:1:0:0:0:1").allowed, true);
    assert.match(reasonOf(judged(["fe80::1"], "fe80::1")), /no key allows it/);
  });

  test("the machine's own addresses are asked for when a connection is judged", () => {
    const own: string[] = [];
    const policy = new EgressPolicy({ allowed: ["a.example"], blocked: [], ownAddresses: () => own });
    const judged = (): boolean => policy.judgeAddress({ host: "a.example", port: 443 }, "93.184.216.34").allowed;
    assert.equal(judged(), true);
    own.push("93.184.216.34");
    assert.equal(judged(), false);
    assert.ok(ownAddresses().every((address) => isIP(address) !== 0));
  });

  test("X1: link-local and the like are never opened, not even by name of the address", () => {
    for (const address of ["169.254.169.254", "168.63.129.16", "100.100.100.200", "0.0.0.0", "224.0.0.1"]) {
      const verdict = judge([address, "169.254.0.0/16", "100.64.0.0/10"], address, address);
      assert.match(reasonOf(verdict), /no key allows it/, address);
    }
    for (const address of ["fe80::1", "fd00:ec2::254"]) {
      const target = `[${address}]:80`;
      assert.match(reasonOf(judge([target], target, address)), /no key allows it/);
    }
  });

  test("the block list wins: by name, by address, behind a name, and in the mapped form", () => {
    const allowed = ["*.example", "93.184.216.34", "127.0.0.1"];
    const cases: [host: string, address: string, rule: string][] = [
      ["bad.example", "93.184.216.34", "bad.example"],
      ["a.example", "93.184.216.34", "93.184.216.0/24"],
      ["a.example", "::ffff:93.184.216.34", "93.184.216.0/24"],
      ["93.184.216.34", "93.184.216.34", "93.184.216.0/24"],
      ["127.0.0.1:22", "127.0.0.1", "127.0.0.1:22"],
      ["[::ffff:127.0.0.1]:22", "::ffff:127.0.0.1", "127.0.0.1:22"],
    ];
    const blocked = cases.map(([, , rule]) => rule);
    for (const [host, address, rule] of cases) {
      const verdict = judge(allowed, host, address, blocked);
      assert.ok(!verdict.allowed && verdict.rule === rule, `${host} ${JSON.stringify(verdict)}`);
      assert.match(verdict.reason, /security\.blocked_networks/);
    }
  });

  test("a refusal names what was asked for and the key that allows it; an empty list allows nothing", () => {
    const reason = reasonOf(judge([], "Registry.NPMjs.org.:443", "104.16.0.1"));
    assert.match(reason, /^registry\.npmjs\.org:443 is not on the list.*proxy_allowed_hosts in daemon\.json$/);
  });
});

describe("egress policy: every address", () => {
  const groups = fc.array(fc.integer({ min: 0, max: 0xffff }), { minLength: 8, maxLength: 8 });
  const v4 = fc.ipV4();

  test("X1: an IPv4 address is judged alike by itself and mapped, in both spellings", () => {
    fc.assert(
      fc.property(v4, (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split(".").map(Number);
        const hex = `::ffff:${((a << 8) | b).toString(16)}:${((c << 8) | d).toString(16)}`;
        for (const mapped of [`::ffff:${address}`, hex, `0:0:0:0:0:ffff:${address}`]) {
          assert.deepEqual(facesOf(mapped), [address]);
        }
      }),
    );
  });

  test("X1: whatever a name resolves to: it is public, or a list names it", () => {
    fc.assert(
      fc.property(
        fc.oneof(
          v4,
          fc.ipV6(),
          groups.map((all) => all.map((group) => group.toString(16)).join(":")),
        ),
        (address) => {
          const verdict = judge(["a.example"], "a.example", address);
          const isSpecial = facesOf(address)!.some((face) => specialRangeOf(face) !== undefined);
          assert.equal(verdict.allowed, !isSpecial);
        },
      ),
      { numRuns: 2_000 },
    );
  });
});

describe("destinations", () => {
  test("X1: one spelling for each; what is no host and port is nothing", () => {
    const good: [string, string, number][] = [
      ["A.Example.:443", "a.example", 443],
      ["127.0.0.1:80", "127.0.0.1", 80],
      ["[::1]:8080", "::1", 8080],
      ["[::FFFF:1.2.3.4]:1", "::ffff:1.2.3.4", 1],
    ];
    for (const [text, host, port] of good) assert.deepEqual(parseAuthority(text), { host, port }, text);
    const bad = [
      ...[
        "",
        ":443",
        "a",
        "a:",
        "a:0",
        "a:65536",
        "a:b",
        "user@a:443",
        "a b:443",
        "a/b:443",
        "[::1",
        "::1:443",
        "[1.2.3.4]:80",
      ],
      ...[
        "[fe80::1%eth0]:80",
        "a..b:443",
        ".a:443",
        "-a:443",
        "é.example:443",
        "a:443:443",
        "a\n:443",
        `${"a".repeat(254)}:1`,
      ],
    ];
    for (const text of bad) assert.equal(parseAuthority(text), undefined, JSON.stringify(text));
  });

  test("an absolute request keeps its path as it was written", () => {
    assert.deepEqual(parsePlainTarget("HTTP://A.example/b/../c%2f?d=/"), {
      host: "a.example",
      port: 80,
      path: "/b/../c%2f?d=/",
    });
    assert.deepEqual(parsePlainTarget("http://a:81?x"), { host: "a", port: 81, path: "/?x" });
    assert.deepEqual(parsePlainTarget("http://[::1]:81"), { host: "::1", port: 81, path: "/" });
    for (const text of [
      "/",
      "https://a/",
      "http://",
      "http:///x",
      "http://u:p@a/",
      "http://a#b",
      "ftp://a",
      "a:443",
      "*",
    ]) {
      assert.equal(parsePlainTarget(text), undefined, text);
    }
  });
});
