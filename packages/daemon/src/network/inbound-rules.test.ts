/** Goal: X1: inbound rules refuse whom they deny, and everybody else once one is allowed, in whatever form an address comes. */
import assert from "node:assert/strict";
import { test } from "node:test";
import type { FirewallRule } from "./firewall-rule.ts";
import { InboundRules } from "./inbound-rules.ts";

const port = 8080;
const inbound = (...texts: readonly string[]): FirewallRule[] =>
  texts.map((text) => {
    const [action, protocol, destination] = text.split(" ") as [FirewallRule["action"], string, string];
    return { direction: "inbound", protocol, destination, action };
  });
/** Which of the addresses are let in. */
const letIn = (firewallRules: readonly FirewallRule[], addresses: readonly string[]): string[] => {
  const judge = new InboundRules({ firewallRules });
  return addresses.filter((address) => judge.refusalOf(address, port) === undefined);
};
const all = ["10.0.0.1", "::ffff:10.0.0.1", "10.1.0.1", "192.168.0.1", "127.0.0.1", "::1", "fd00::1"];

test("without an inbound rule everybody may connect", () => {
  const outbound: FirewallRule = { direction: "outbound", protocol: "any", destination: "any", action: "deny" };
  assert.deepEqual(letIn([], all), all);
  assert.deepEqual(letIn([outbound], all), all);
});

test("X1: a deny refuses whom it names, also as a mapped address and from loopback", () => {
  assert.deepEqual(letIn(inbound("deny tcp 10.0.0.0/16"), all), all.slice(2));
  assert.deepEqual(
    letIn(inbound("deny any 127.0.0.1", "deny any ::1"), all),
    all.filter((one) => !/^(127|::1)/.test(one)),
  );
  assert.deepEqual(letIn(inbound("deny any any"), all), []);
});

test("X1: with an allow nobody else may connect, and a deny wins over it", () => {
  assert.deepEqual(letIn(inbound("allow http 10.0.0.0/8"), all), all.slice(0, 3));
  assert.deepEqual(letIn(inbound("allow http 10.0.0.0/8", "deny tcp 10.0.0.1"), all), ["10.1.0.1"]);
  assert.deepEqual(letIn(inbound("allow any any", "deny any fd00::/8"), all), all.slice(0, -1));
});

test("X2: http and https are both the HTTP port; a rule about another program, or another port, is none here", () => {
  for (const protocol of ["http", "https", "tcp", "any"]) {
    assert.deepEqual(letIn(inbound(`deny ${protocol} any`), all), []);
    assert.deepEqual(letIn(inbound(`allow ${protocol} fd00::/8`), all), ["fd00::1"]);
  }
  for (const action of ["allow", "deny"]) {
    assert.deepEqual(letIn(inbound(`${action} ssh any`, `${action} udp any`), all), all);
    assert.deepEqual(letIn(inbound(`${action} any 10.0.0.1:8081`), all), all);
  }
  assert.deepEqual(letIn(inbound("deny any 10.0.0.1:8080"), all), all.slice(2));
  assert.deepEqual(letIn(inbound("allow any 10.0.0.1:8080", "allow any 127.0.0.1:8081"), all), all.slice(0, 2));
});

test("X1: an address that carries another one is denied for both, and let in for both alone", () => {
  const carriers = ["2002:a00:1::5", "64:ff9b::a00:1", "::10.0.0.1"];
  assert.deepEqual(letIn(inbound("deny any 10.0.0.0/8"), carriers), []);
  assert.deepEqual(letIn(inbound("allow any 10.0.0.0/8"), carriers), []);
  assert.deepEqual(letIn(inbound("allow any 10.0.0.0/8", "allow any 2002::/16"), carriers), ["2002:a00:1::5"]);
});

test("X1: a link-local caller is judged by its address, whatever interface it comes by", () => {
  const callers = ["fe80::1%eth0", "fe80::2%eth9"];
  assert.deepEqual(letIn(inbound("deny any fe80::1"), callers), ["fe80::2%eth9"]);
  assert.deepEqual(letIn(inbound("allow any fe80::1"), callers), ["fe80::1%eth0"]);
});

test("X1: a connection without an address is refused where there are rules, and a refusal says which rule it was", () => {
  assert.equal(new InboundRules({ firewallRules: [] }).refusalOf(undefined, port), undefined);
  assert.notEqual(
    new InboundRules({ firewallRules: inbound("deny ssh any", "deny any 10.0.0.1") }).refusalOf(undefined, port),
    undefined,
  );
  const rules = new InboundRules({
    firewallRules: inbound("deny tcp 10.0.0.0/8", "allow any 192.168.0.0/16"),
  });
  assert.match(rules.refusalOf("10.0.0.1", port) ?? "", /"inbound deny tcp 10\.0\.0\.0\/8"/);
  assert.match(rules.refusalOf("127.0.0.1", port) ?? "", /no inbound allow/);
});
