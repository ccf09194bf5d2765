// Programs that run inside a machine.

/** For the Node of the release: hands events over to the daemon, one after another, and prints the ids of those that were accepted. */
export const emitProgram = `import { readFileSync } from "node:fs";
import { createConnection } from "node:net";
import { createInterface } from "node:readline";
const [root, ...ids] = process.argv.slice(2);
const socket = createConnection(root + "/data/state/daemon.sock");
const call = (id, method, params) => socket.write(JSON.stringify({ jsonrpc: "2.0", id, method, params }) + "\\n");
const event = (id) => call(id, "event/stream", { event_id: id, event_type: "vm.test", timestamp: Date.now() / 1000, data: {} });
call("login", "auth/login", { token: readFileSync(root + "/data/auth/local_token", "utf8").trim() });
for await (const line of createInterface({ input: socket })) {
  const { id, result, error } = JSON.parse(line);
  if (error !== undefined) throw new Error(line);
  if (result?.status === "accepted") console.log(result.event_id);
  if (id === ids.at(-1)) break;
  if (id !== undefined) event(id === "login" ? ids[0] : ids[ids.indexOf(id) + 1]);
}
socket.end();
`;
/** Answers whoever connects, as the service of a cloud provider hands out credentials. */
export const metadataProgram = `import socket
server = socket.create_server(("::", 80), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
  link, _ = server.accept()
  link.sendall(b"credentials")
  link.close()
`;
