/**
 * What the adapter's tests share: an adapter joined to a fake agent. It has no tests of its own.
 */
import { FakeClaude } from "@hl/testkit/fake-claude.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { AgentFailure, type AgentEvent, type RelayResult } from "./agent.ts";
import type { StreamJsonOptions } from "./stream-json-options.ts";
import { StreamJsonAgent } from "./stream-json.ts";
import type { RelayOptions } from "./turns.ts";

export interface Fixture {
  readonly agent: StreamJsonAgent;
  readonly claude: FakeClaude;
  readonly clock: ManualClock;
  readonly events: AgentEvent[];
}

export function setUp(options: Partial<StreamJsonOptions> = {}): Fixture {
  const clock = new ManualClock();
  const events: AgentEvent[] = [];
  let ids = 0;
  const claude = new FakeClaude((chunk) => agent.receive(chunk));
  const agent = new StreamJsonAgent({
    write: (line) => claude.take(line),
    clock,
    newId: () => `id-${(ids += 1)}`,
    lineBytesMax: 1_000_000,
    onEvent: (event) => void events.push(event),
    ...options,
  });
  return { agent, claude, clock, events };
}

let relays = 0;

/** A relay of a prompt, with a minute and an id of its own unless told otherwise. */
export async function relay(
  agent: StreamJsonAgent,
  message: unknown,
  options: Partial<RelayOptions> = {},
): Promise<RelayResult> {
  relays += 1;
  return (await agent.relay(message, { relayId: `relay-${relays}`, timeoutMs: 60_000, ...options })) as RelayResult;
}

/** What a promise is rejected with; fails when it is not. */
export async function failure(promise: Promise<unknown>): Promise<AgentFailure> {
  return await promise.then(
    (value) => {
      throw new Error(`Expected a failure, got ${JSON.stringify(value)}`);
    },
    (error: unknown) => {
      if (error instanceof AgentFailure) return error;
      throw error;
    },
  );
}
