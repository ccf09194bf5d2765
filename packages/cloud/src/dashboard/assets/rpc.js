import { ApiError, instancePath, session } from "./session.js";

/** A JSON-RPC connection to one VM; notifications carry the id of the request they belong to. */
export class Rpc {
  static async open(id) {
    const address = new URL(instancePath(id, "/rpc"), location.href);
    address.protocol = address.protocol.replace("http", "ws");
    const socket = new WebSocket(address, ["hl.v1", `bearer.${session.token}`]);
    await new Promise((resolve, reject) => {
      socket.addEventListener("open", resolve, { once: true });
      socket.addEventListener("close", () => reject(new Error("hl-cloud refused the connection")), { once: true });
    });
    return new Rpc(socket);
  }

  constructor(socket) {
    this.socket = socket;
    this.nextId = 1;
    this.calls = new Map();
    this.closed = new Promise((resolve) => socket.addEventListener("close", resolve, { once: true }));
    socket.addEventListener("message", ({ data }) => this.#receive(JSON.parse(data)));
    void this.closed.then(() => this.calls.forEach(({ reject }) => reject(new Error("the connection was lost"))));
  }

  request(method, params, onNotification) {
    const id = this.nextId++;
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    return new Promise((resolve, reject) => this.calls.set(id, { resolve, reject, onNotification }));
  }

  close() {
    this.socket.close();
  }

  #receive(message) {
    if (message.method !== undefined) {
      this.calls.get(message.request_id)?.onNotification?.(message.method, message.params);
      return;
    }
    const call = this.calls.get(message.id);
    if (call === undefined) return;
    if (call.onNotification === undefined) this.calls.delete(message.id); // Others may be notified until we close.
    if (message.error !== undefined) call.reject(new ApiError(0, message.error));
    else call.resolve(message.result);
  }
}
