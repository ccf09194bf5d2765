import { randomUUID } from "node:crypto";
import type { AgentRecords } from "../store/agent-records.ts";
import type { AgentFacts } from "./agent-facts.ts";
import type { Launch } from "./launch-record.ts";

/** The session that a further process of an agent is started with. */
export interface NextSession {
  readonly id: string;
  readonly resume: boolean;
}

/** What Claude Code says of a session that it does not have. */
export const sessionUnknown = /No conversation found/i;

/** @param isLost the agent does not have its session any more */
export function nextSession(facts: AgentFacts, launch: Launch, records: AgentRecords, isLost: boolean): NextSession {
  if (!isLost) return { id: facts.sessionId, resume: canResume(facts, launch, records) };
  // An agent that names its sessions itself has none until it has done so.
  return { id: facts.protocol === "jsonrpc" ? launch.sessionId : randomUUID(), resume: false };
}

/** Whether the agent has begun the session, so that it can be gone on with. */
export function canResume(facts: AgentFacts, launch: Launch | undefined, records: AgentRecords): boolean {
  if (facts.protocol === "acp" || launch?.params.resume !== undefined) return true;
  // Claude Code keeps a session from its first message on; others have one when they have named it.
  return facts.protocol === "stream-json" ? records.hasTurns(facts.processId) : facts.sessionId !== launch?.sessionId;
}
