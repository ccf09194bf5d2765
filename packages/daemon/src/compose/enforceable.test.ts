/** Goal: X2: whatever a runner cannot do, or does not say it can, is a reason to refuse. Method: every lack by itself. */
import assert from "node:assert/strict";
import { test } from "node:test";
import { defaultConfig } from "@hl/config/load.ts";
import { failedProbe, type RunnerProbe } from "../runner/probe.ts";
import { enforceableOf, firstProblem } from "./enforceable.ts";

const able: RunnerProbe = {
  landlockAbi: 4,
  seccomp: true,
  capabilitiesDropped: true,
  networkNamespaces: true,
  limits: { memory: "none", cpu: "none", processes: "none" },
};
type Kinds = { readonly network?: "host" | "none" | "proxy"; readonly agent_network?: "host" | "proxy" };
const judge = (probe: Partial<RunnerProbe>, kinds: Kinds = {}): ReturnType<typeof enforceableOf> =>
  enforceableOf({ ...defaultConfig().daemon.security.sandbox, ...kinds }, { ...able, ...probe }, "/run/p.sock");

test("X2: Landlock and the filter of system calls are needed in every mode", () => {
  assert.equal(firstProblem(judge({})), undefined);
  assert.match(judge({ landlockAbi: 0 }).problem ?? "", /no Landlock/);
  assert.match(judge({ seccomp: false }).problem ?? "", /seccomp/);
  assert.match(judge({ problem: "EPIPE" }).problem ?? "", /cannot say what this kernel offers: EPIPE/);
  assert.match(firstProblem(judge(failedProbe("no runner"))) ?? "", /no runner/);
});

test("X2: without namespaces the modes that need them are refused with the reason and the remedy, and only for whom they are configured", () => {
  const lacks = { networkNamespaces: false, networkProblem: "unshare(CLONE_NEWUSER): Operation not permitted" };
  assert.equal(firstProblem(judge(lacks)), undefined);
  // What nobody asked for is no reason to refuse.
  assert.deepEqual(judge(lacks).noNetwork, { kind: "host" });
  for (const network of ["none", "proxy"] as const) {
    const { problem, network: ofCommands, agentNetwork } = judge(lacks, { network });
    assert.deepEqual([problem, agentNetwork.problem, ofCommands.kind], [undefined, undefined, network]);
    assert.match(
      ofCommands.problem ?? "",
      /sandbox\.network is "(none|proxy)".*unshare.*user\.max_user_namespaces.*"host" knowingly/,
    );
  }
  const agents = judge(lacks, { agent_network: "proxy" });
  assert.equal(agents.network.problem, undefined);
  assert.match(firstProblem(agents) ?? "", /sandbox\.agent_network is "proxy"/);
  assert.match(judge({ networkNamespaces: false }, { network: "none" }).network.problem ?? "", /older than the daemon/);
});

test("only the proxy's mode has the proxy's socket", () => {
  assert.deepEqual(judge({}, { network: "none", agent_network: "proxy" }), {
    problem: undefined,
    network: { kind: "none" },
    agentNetwork: { kind: "proxy", proxySocket: "/run/p.sock" },
    noNetwork: { kind: "none" },
  });
});
