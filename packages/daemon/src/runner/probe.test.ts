/** Goal: what a runner does not say of its kernel is not believed (X2). Method: what runners of today and of before say. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { decodeFields, encodeFrame, frameType, tag } from "./frames.ts";
import { failedProbe, runnerProbe, type RunnerProbe } from "./probe.ts";

const frameHeaderBytes = 5;

function probed(said: Record<string, unknown>): RunnerProbe {
  const frame = encodeFrame(frameType.probed, [[tag.message, JSON.stringify(said)]]);
  return runnerProbe(decodeFields(frame.subarray(frameHeaderBytes)));
}

describe("a runner's probe", () => {
  test("X2: a runner of before, or one that says nonsense, has no filter, no namespaces and leaves capabilities", () => {
    for (const said of [
      { landlock_abi: 7 },
      { landlock_abi: 7, seccomp: "yes", network_namespaces: 1, capabilities_dropped: null, network_problem: 5 },
    ]) {
      const { landlockAbi, seccomp, networkNamespaces, networkProblem, capabilitiesDropped } = probed(said);
      assert.deepEqual(
        [landlockAbi, seccomp, networkNamespaces, networkProblem, capabilitiesDropped],
        [7, false, false, undefined, false],
      );
    }
    assert.equal(failedProbe("gone").seccomp, false);
  });

  test("what it says is passed on, with the reason of what cannot be had", () => {
    const good = probed({ seccomp: true, network_namespaces: true, network_problem: "", capabilities_dropped: true });
    assert.deepEqual([good.seccomp, good.networkNamespaces, good.networkProblem], [true, true, undefined]);
    assert.equal(good.capabilitiesDropped, true);
    const bad = probed({ network_namespaces: false, network_problem: "a network namespace: refused" });
    assert.deepEqual([bad.networkNamespaces, bad.networkProblem], [false, "a network namespace: refused"]);
  });
});
