/** Goal: what answers in the issuer's place costs no memory and leads nowhere else. Method: a real HTTP server that answers badly. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { test } from "node:test";
import { testConnect } from "../network/testing/open-connect.ts";
import { answerBytesMax, fetchPublicKeys } from "./fetch-public-keys.ts";

test("P7: an answer is read up to its limit, and only one of status 200 from the very address that was named", async () => {
  const asked: string[] = [];
  let sent = 0;
  const server = createServer((request, response) => {
    asked.push(request.url ?? "");
    const path = request.url ?? "";
    if (path === "/moved") response.writeHead(302, { location: "/most" }).end();
    else if (path === "/most") response.end("x".repeat(answerBytesMax));
    else if (path === "/more") response.end("x".repeat(answerBytesMax + 1));
    else if (path === "/endless") {
      const part = "x".repeat(65_536);
      const more = (): void => {
        for (let going = !response.destroyed; going;) {
          sent += part.length;
          going = response.write(part);
        }
      };
      response.on("drain", more);
      more();
    } else response.writeHead(503).end("{}");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const connect = testConnect();
  const { port } = server.address() as AddressInfo;
  const fetchFrom = (path: string): Promise<string> =>
    fetchPublicKeys({ url: `http://127.0.0.1:${port}${path}`, connect });
  try {
    assert.equal((await fetchFrom("/most")).length, answerBytesMax);
    for (const path of ["/more", "/endless"]) await assert.rejects(fetchFrom(path), /more than 262144 bytes/);
    assert.ok(sent < 64 * 1024 * 1024);
    await assert.rejects(fetchFrom("/moved"), /status 302/);
    await assert.rejects(fetchFrom("/broken"), /status 503/);
    assert.deepEqual(asked, ["/most", "/more", "/endless", "/moved", "/broken"]);
    server.closeAllConnections();
    server.close();
    await assert.rejects(fetchFrom("/most"));
  } finally {
    server.closeAllConnections();
    server.close();
  }
});
