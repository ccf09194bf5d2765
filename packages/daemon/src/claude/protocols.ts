import type { AgentProtocol } from "./engine.ts";
import { parseRelayMessage, promptLine, uuidOfRelay } from "./relay-message.ts";
import { acpProtocol } from "./rpc/acp.ts";
import { jsonRpcProtocol } from "./rpc/jsonrpc.ts";
import { StreamJsonAgent } from "./stream-json.ts";

const streamJson: AgentProtocol = {
  name: "stream-json",
  engine: (options) => new StreamJsonAgent(options),
  turnLine: (message, relayId) => {
    const parsed = parseRelayMessage(message);
    return parsed.kind === "prompt" ? promptLine(parsed.content, uuidOfRelay(relayId)) : undefined;
  },
  response: (result) => result,
};

const protocols: Readonly<Record<string, AgentProtocol>> = {
  "stream-json": streamJson,
  jsonrpc: jsonRpcProtocol,
  acp: acpProtocol,
};

/** @param name as an agent's record has it */
export function protocolOf(name: string): AgentProtocol {
  const protocol = protocols[name];
  if (protocol === undefined) throw new Error(`no adapter for the protocol ${JSON.stringify(name)}`);
  return protocol;
}
