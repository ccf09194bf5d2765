/** Goal: what a start says of its network and namespaces is what docs/runner-protocol.md says, and nothing is said that was not asked for. Method: a START's fields, read back. */
import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { FrameReader, tag, type Fields } from "./frames.ts";
import type { StartRequest } from "./records.ts";
import { startFrame } from "./start-frame.ts";

const request: StartRequest = {
  id: "one",
  argv: ["/bin/true"],
  env: {},
  cwd: "/",
  stdin: "null",
  graceMs: 5000,
  openFilesMax: 64,
  logBytesMax: 1 << 20,
  sandbox: { read: ["/usr"], write: [] },
};

function fieldsOf(more: Partial<StartRequest>): Fields {
  const [frame] = new FrameReader().push(startFrame({ ...request, ...more }, false));
  assert.ok(frame);
  return frame.fields;
}

describe("the network of a start", () => {
  test("without a wish nothing is sent, which a runner of before understands too", () => {
    for (const more of [{}, { network: "host", proxySocket: "/unused" }, { allowNamespaces: false }] as const) {
      const fields = fieldsOf(more);
      assert.deepEqual(
        [tag.network, tag.proxySocket, tag.allowNamespaces].map((each) => fields.text(each)),
        [undefined, undefined, undefined],
      );
    }
  });

  test("each kind has its number, and the proxy its place", () => {
    assert.equal(fieldsOf({ network: "none" }).number(tag.network), 1);
    const proxy = fieldsOf({ network: "proxy", proxySocket: "/run/proxy.sock", allowNamespaces: true });
    assert.equal(proxy.number(tag.network), 2);
    assert.equal(proxy.text(tag.proxySocket), "/run/proxy.sock");
    assert.equal(proxy.number(tag.allowNamespaces), 1);
  });
});
