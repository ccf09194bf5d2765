/**
 * What an operator does with one VM through hl-cloud, over its HTTP interface and nothing else.
 */
import { get } from "node:http";
import { http } from "./http.ts";
import { CallFailed, connectSocketFrames, type Message, type MessageClient } from "./message-client.ts";
import { until, waitMsMax, within } from "./waiting.ts";

export class Operator {
  readonly #url: string;
  readonly #token: string;
  readonly #path: string;

  constructor(url: string, token: string, instanceId: string) {
    this.#url = url;
    this.#token = token;
    this.#path = `/v1/instances/${encodeURIComponent(instanceId)}`;
  }

  /** The result of a request to the VM; rejects with `CallFailed`. */
  async call(method: string, params: object = {}): Promise<Message> {
    const answer = await this.post({ jsonrpc: "2.0", id: 1, method, params });
    if ("error" in answer) throw new CallFailed(answer.error);
    return answer.result;
  }

  /** One message to the VM, and the message that answers it; for a VM that is away after `waitSeconds`. */
  async post(message: Message, waitSeconds = 25): Promise<Message> {
    const url = `${this.#url}${this.#path}/rpc?wait=${waitSeconds}`;
    return (await http(url, { body: message, token: this.#token, ms: waitSeconds * 1_000 + waitMsMax })).json;
  }

  /** A request that was recorded, with its answer if there is one. */
  async request(rpcId: string): Promise<Message> {
    return (await http(`${this.#url}${this.#path}/rpc/${rpcId}`, { token: this.#token })).json;
  }

  /** The JSON-RPC peer that hl-client and the dashboard use. */
  connect(): Promise<MessageClient> {
    return connectSocketFrames(`${this.#url.replace(/^http/, "ws")}${this.#path}/rpc`, this.#token, {
      subprotocol: "hl.v1",
    });
  }

  /** What the fleet says of the VM; undefined while it does not know it. */
  async instance(): Promise<Message> {
    const answer = await http(`${this.#url}${this.#path}`, { token: this.#token });
    return answer.status === 200 ? answer.json : undefined;
  }

  /** Resolves when the command channel is up. */
  async online(ms: number = waitMsMax): Promise<void> {
    await until("the VM to be connected", async () => (await this.instance())?.online === true, ms);
  }

  /** Every event the cloud has, in its own order. */
  async events(): Promise<Message[]> {
    const all: Message[] = [];
    for (let after = 0; ;) {
      const { json } = await http(`${this.#url}${this.#path}/events?after=${after}&limit=1000`, { token: this.#token });
      if (json.events.length === 0) return all;
      all.push(...json.events);
      after = json.next;
    }
  }

  /** The first event from the beginning that is wanted, waited for on the live stream. */
  async event(wanted: (event: Message) => boolean, ms: number = waitMsMax): Promise<Message> {
    const found = Promise.withResolvers<Message>();
    const headers = { accept: "text/event-stream", authorization: `Bearer ${this.#token}` };
    const request = get(`${this.#url}${this.#path}/events?after=0`, { headers, agent: false }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => {
        text += chunk;
        const blocks = text.split("\n\n");
        text = blocks.pop() ?? "";
        for (const block of blocks) {
          const data = /^data: (.*)$/m.exec(block)?.[1];
          const event: Message = data === undefined ? undefined : JSON.parse(data);
          if (event !== undefined && wanted(event)) found.resolve(event);
        }
      });
      response.on("error", found.reject);
    });
    request.on("error", found.reject);
    try {
      return await within(`an event that satisfies ${String(wanted)}`, found.promise, ms);
    } finally {
      request.destroy();
    }
  }
}
