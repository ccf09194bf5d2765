/**
 * Goal: X1: the daemon itself connects to what `allowed_networks` or an allow rule names, and never to what is blocked, in whatever form an
 * address is written or hidden.
 * Method: tables of what people and attackers write, judged as a connection would be: the name first, then each address.
 */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { DaemonNetworks, type Asked, type NetworkLists } from "./daemon-networks.ts";
import { parseAuthority } from "./destination.ts";
import type { FirewallRule } from "./firewall-rule.ts";
import type { Verdict } from "./verdict.ts";

interface Question extends Partial<NetworkLists>, Partial<Asked> {
  /** `host` or `host:port`, 443 without one. */
  readonly to: string;
  /** What it resolves to; the host itself where it is an address. */
  readonly address?: string;
}

function judge({ to, address, allowed = [], blocked = [], firewallRules = [], ...asked }: Question): Verdict {
  const policy = new DaemonNetworks({ allowed, blocked, firewallRules }).policyFor({ use: "https", ...asked });
  const destination = parseAuthority(to, 443)!;
  const named = policy.judgeHost(destination);
  return named.allowed ? policy.judgeAddress(destination, address ?? destination.host) : named;
}
const allows = (question: Question): void => {
  const verdict = judge(question);
  assert.ok(verdict.allowed, `${JSON.stringify(question)}: ${verdict.allowed ? "" : verdict.reason}`);
};
const refuses = (question: Question, reason: RegExp): void => {
  const verdict = judge(question);
  assert.ok(!verdict.allowed, JSON.stringify(question));
  assert.match(verdict.reason, reason);
};
const rule = (text: string): FirewallRule => {
  const [direction, protocol = "", destination = "", action] = text.split(" ");
  return { direction, protocol, destination, action } as FirewallRule;
};
const far = "93.184.216.34";

describe("networks of the daemon", () => {
  test("a name is allowed by its own entry or by its addresses; nothing else is, and the text says what to add", () => {
    allows({ to: "a.example", address: far, allowed: ["a.example"] });
    allows({ to: "x.a.example", address: far, allowed: ["*.a.example"] });
    allows({ to: "A.Example.", address: far, allowed: ["a.example"] });
    allows({ to: "a.example", address: "10.1.2.3", allowed: ["a.example"] });
    allows({ to: "a.example", address: "10.1.2.3", allowed: ["10.0.0.0/8"] });
    allows({ to: far, allowed: [far] });
    refuses(
      { to: "b.example", address: far, allowed: ["a.example"] },
      /Add "b\.example:443" to security\.allowed_networks/,
    );
    refuses({ to: "a.example.b", address: far, allowed: ["a.example"] }, /nothing allows it/);
    refuses(
      { to: "b.example", address: "11.1.2.3", allowed: ["10.0.0.0/8"] },
      /b\.example:443 \(11\.1\.2\.3\): nothing/,
    );
    refuses({ to: "a.example:8443", address: far, allowed: ["a.example:443"] }, /nothing allows it/);
    refuses({ to: far }, /nothing allows it/);
  });

  test("a name that nothing can allow is not even looked up", () => {
    const policy = new DaemonNetworks({ allowed: ["a.example", "10.0.0.0/8:1"], blocked: [], firewallRules: [] });
    assert.equal(policy.policyFor({ use: "https" }).judgeHost({ host: "b.example", port: 443 }).allowed, false);
  });

  test("X1: what is blocked stays blocked, by name or by address, in every form that an address has", () => {
    const blocked = ["169.254.169.254", "bad.example", "*.worse.example", "10.0.0.0/8", "fd00::/8"];
    const allowed = ["*.example", "bad.example", "0.0.0.0/0", "::/0", ...blocked];
    for (const to of ["bad.example", "bad.example.", "BAD.example", "x.worse.example"])
      refuses(
        { to, address: far, allowed, blocked },
        /blocked by "(bad|\*\.worse)\.example" in security\.blocked_networks/,
      );
    const forms = [
      "10.1.2.3",
      "::ffff:10.1.2.3",
      "::ffff:a01:203",
      "64:ff9b::a01:203",
      "2002:a01:203::1",
      "::10.1.2.3",
      "fd00::1",
    ];
    for (const address of forms) refuses({ to: "a.example", address, allowed, blocked }, /is blocked by/);
    for (const to of ["[::ffff:10.1.2.3]", "[::ffff:a01:203]", "10.1.2.3", "[fd00::1]"])
      refuses({ to, allowed, blocked }, /is blocked by/);
    // Ranges that are written as IPv6 mean the IPv4 in them as well.
    refuses({ to: "a.example", address: "10.1.2.3", allowed, blocked: ["::ffff:10.0.0.0/104"] }, /is blocked by/);
    allows({ to: "a.example", address: "11.1.2.3", allowed, blocked: ["::ffff:10.0.0.0/104"] });
    refuses({ to: "localhost:22", address: "::1", allowed: ["localhost"], blocked: ["localhost:22"] }, /is blocked by/);
    allows({ to: "localhost:23", address: "::1", allowed: ["localhost"], blocked: ["localhost:22"] });
  });

  test("X1: no name leads to metadata, link-local or nothing-at-all addresses, unless an entry is for that very address", () => {
    const allowed = ["a.example", "0.0.0.0/0", "::/0"];
    const never = [
      "169.254.169.254",
      "::ffff:169.254.169.254",
      "64:ff9b::a9fe:a9fe",
      "fe80::1",
      "0.0.0.0",
      "::",
      "100.100.100.200",
      "224.0.0.1",
    ];
    for (const address of never) refuses({ to: "a.example", address, allowed }, /link-local, metadata/);
    refuses({ to: "169.254.169.254", allowed, implied: true }, /link-local, metadata/);
    allows({ to: "169.254.169.254", allowed: ["169.254.169.254"] });
    refuses({ to: "a.example", address: "fe80::1%eth0", allowed }, /can be judged/);
  });

  test("odd spellings of addresses are judged as what they are, or refused", () => {
    const spelled = (text: string): string => new URL(`https://${text}`).host;
    for (const text of ["0x7f.1", "2130706433", "0177.0.0.1", "127.1", "0x7f000001", "127.0.0.1.", "①27.0.0.1"]) {
      assert.equal(spelled(text), "127.0.0.1", text);
    }
    assert.equal(spelled("BÜCHER.example"), "xn--bcher-kva.example");
    for (const text of ["1.2.3", "[::1%25lo]", "a..example", "user@a.example", "a.example:0", "a.example:65536", "a b"])
      assert.equal(
        parseAuthority(text, 443) !== undefined && parseAuthority(text, 443)?.host === "127.0.0.1",
        false,
        text,
      );
  });

  test("firewall rules: an allow is as good as an entry for its protocol, a deny wins over all", () => {
    const firewallRules = [rule("outbound https a.example allow"), rule("outbound any 10.0.0.0/8 deny")];
    allows({ to: "a.example", address: far, firewallRules });
    allows({ to: "a.example", address: far, firewallRules, use: "wss" });
    refuses({ to: "a.example", address: far, firewallRules, use: "http" }, /nothing allows it/);
    refuses(
      { to: "a.example", address: "10.0.0.1", firewallRules },
      /the rule "deny any 10\.0\.0\.0\/8" in network_security\.firewall_rules/,
    );
    allows({ to: "a.example", address: far, firewallRules: [rule("outbound tcp any allow")] });
    refuses(
      { to: "a.example", address: "169.254.169.254", firewallRules: [rule("outbound any any allow")] },
      /link-local, metadata/,
    );
    const allowed = ["a.example"];
    refuses({ to: "a.example", address: far, allowed, firewallRules: [rule("outbound any any deny")] }, /deny any any/);
    refuses(
      { to: "a.example", address: far, allowed, use: "wss", firewallRules: [rule("outbound wss any deny")] },
      /wss/,
    );
    allows({ to: "a.example", address: far, allowed, firewallRules: [rule("outbound wss any deny")] });
    for (const other of ["udp", "ssh", "dns"])
      allows({ to: "a.example", address: far, allowed, firewallRules: [rule(`outbound ${other} any deny`)] });
    allows({ to: "a.example", address: far, allowed, firewallRules: [rule("inbound any any deny")] });
  });

  test("what the configuration names elsewhere needs no entry, and is blocked all the same", () => {
    allows({ to: "proxy.example:3128", address: "10.0.0.1", implied: true });
    refuses({ to: "proxy.example:3128", address: "10.0.0.1", implied: true, blocked: ["10.0.0.0/8"] }, /is blocked by/);
    refuses(
      { to: "proxy.example:3128", address: "10.0.0.1", implied: true, blocked: ["proxy.example"] },
      /is blocked by/,
    );
  });

  test("X2: what is not checked stays on this machine, whatever the name says", () => {
    const question = { to: "localhost", allowed: ["localhost", "*.localhost"], loopbackOnly: true } as const;
    for (const address of ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"]) allows({ ...question, address });
    for (const address of [far, "10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::"])
      refuses({ ...question, address }, /is not on this machine/);
  });

  test("through a proxy a range of addresses allows no name, because nobody here sees them", () => {
    refuses(
      { to: "a.example", address: far, allowed: ["0.0.0.0/0"], byNameOnly: true },
      /ranges of addresses do not count/,
    );
    allows({ to: "a.example", address: far, allowed: ["a.example"], byNameOnly: true });
  });
});
