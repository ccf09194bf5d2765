/**
 * What the tests of engines over JSON-RPC share: an engine joined to a fake agent that says what the test tells it to. It has no tests.
 */
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { AgentFailure, type AgentEvent } from "../agent.ts";
import type { AgentEngine, AgentProtocol, EngineOptions } from "../engine.ts";
import type { RelayOptions } from "../turns.ts";

/** A message of any shape; assertions judge it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Message = any;

export interface RpcFixture {
  readonly engine: AgentEngine;
  readonly clock: ManualClock;
  readonly events: AgentEvent[];
  /** Everything the engine has written, parsed. */
  readonly sent: Message[];
  readonly inputEnds: () => number;
  /** The newest request of a method. */
  readonly request: (method: string) => Message;
  readonly say: (...messages: (object | string)[]) => void;
  /** Answers the newest request of a method. */
  readonly answer: (method: string, answer: object) => void;
  readonly relay: (message: unknown, options?: Partial<RelayOptions>) => Promise<Message>;
}

export function setUpRpc(protocol: AgentProtocol, options: Partial<EngineOptions> = {}): RpcFixture {
  const clock = new ManualClock();
  const events: AgentEvent[] = [];
  const sent: Message[] = [];
  let ids = 0;
  let relays = 0;
  let ends = 0;
  const engine = protocol.engine({
    write: (line) => {
      if (line.indexOf("\n") !== line.length - 1) throw new Error(`Not one line: ${JSON.stringify(line)}`);
      sent.push(JSON.parse(line));
    },
    endInput: () => void (ends += 1),
    clock,
    newId: () => `id-${(ids += 1)}`,
    lineBytesMax: 1_000_000,
    onEvent: (event) => void events.push(event),
    session: { id: "ours", workspacePath: "/work", resume: false, known: false },
    ...options,
  });
  const say: RpcFixture["say"] = (...messages) => {
    for (const message of messages) {
      const line = typeof message === "string" ? message : JSON.stringify({ jsonrpc: "2.0", ...message });
      engine.receive(Buffer.from(`${line}\n`));
    }
  };
  const request = (method: string): Message => {
    const found = sent.filter((message) => message.method === method && "id" in message).at(-1);
    if (found === undefined) throw new Error(`${method} was not sent, but ${JSON.stringify(sent)}`);
    return found;
  };
  return {
    ...{ engine, clock, events, sent, request, say },
    inputEnds: () => ends,
    answer: (method, answer) => say({ id: request(method).id, ...answer }),
    relay: (message, more = {}) =>
      engine.relay(message, { relayId: `relay-${(relays += 1)}`, timeoutMs: 60_000, ...more }),
  };
}

/** What a promise is rejected with; fails when it is not. */
export async function failureOf(promise: Promise<unknown>): Promise<AgentFailure> {
  const outcome = await promise.then(
    (value) => new Error(`Expected a failure, got ${JSON.stringify(value)}`),
    (error: unknown) => error,
  );
  if (outcome instanceof AgentFailure) return outcome;
  throw outcome;
}
