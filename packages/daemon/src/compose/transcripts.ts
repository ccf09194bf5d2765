import type { Clock } from "@hl/core/clock.ts";
import type { AgentFacts } from "../claude/agent-facts.ts";
import { runIdOf } from "../claude/agent-runs.ts";
import type { OnAgentEvent } from "../claude/event-place.ts";
import type { Events } from "../events/events.ts";
import type { Redactor } from "../redaction/redactor.ts";
import type { Database } from "../store/database.ts";
import { TranscriptRecords } from "../store/transcript-records.ts";
import type { TranscriptOptions } from "../transcripts/transcript.ts";
import { Transcripts } from "../transcripts/transcripts.ts";
import { itemOf, withheldItemOf } from "./agent-items.ts";
import type { LiveConfig } from "./live-config.ts";
import { processEventReporter } from "./process-events.ts";

export interface TranscriptPorts {
  readonly live: LiveConfig;
  readonly clock: Clock;
  readonly database: Database;
  readonly events: Events;
  readonly redactor: Redactor;
  readonly onStoreError: (error: unknown) => void;
}

export interface ComposedTranscripts {
  readonly transcripts: Transcripts;
  readonly onAgentEvent: OnAgentEvent;
  /** What is to be waited for before more of this agent is read. */
  readonly pace: (processId: string) => Promise<void> | undefined;
  /** @param isFound false for an end that no log tells, so that no later daemon finds it again */
  readonly onAgentEnd: (agent: AgentFacts, isFound?: boolean) => void;
}

/** What an event has beside its data. */
const envelopeBytes = 1_024;
/** `process_end`, `agent.exited` and `agent.ready` of the supervision say it, also without a transcript. */
const toldElsewhere: ReadonlySet<string> = new Set(["ended", "exited", "ready"]);
/** Of events that follow from the end of a process and not from its output. */
const behindTheLog = Number.MAX_SAFE_INTEGER;

/** What agents say, on its way into their transcripts and from there, as the same words, to the cloud. */
export function composeTranscripts(ports: TranscriptPorts): ComposedTranscripts {
  const { live, clock, database, events, redactor, onStoreError } = ports;
  const report = processEventReporter(events);
  const parts: Omit<TranscriptOptions, "bytesMax" | "dataBytesMax"> = {
    records: new TranscriptRecords(database),
    clock,
    redact: (value) => redactor.redact(value),
    redactStream: () => redactor.stream(),
    onKept: (item, { runId, position, index }, turn) => {
      if (toldElsewhere.has(item.type)) return;
      const of = turn === undefined ? `${runId}.${position}.${index}` : `turn-${turn}`;
      report.agentItem(item, `${item.process_id}:${of}`);
    },
    onStoreError,
  };
  const transcripts = new Transcripts(
    live.options(parts, ({ daemon: { claude_integration: claude, event_streaming: streaming } }) => ({
      bytesMax: claude.transcript.max_bytes,
      dataBytesMax: Math.max(
        512,
        Math.min(claude.transcript.max_event_bytes, streaming.max_event_bytes - envelopeBytes),
      ),
    })),
  );
  return {
    transcripts,
    pace: (processId) => transcripts.of(processId).room(),
    onAgentEvent: (agent, event, { areSecretsKnown, ...at }) => {
      const { sessionId = agent.sessionId, relayId } = event;
      const turn = event.type === "agent.turn_completed" ? agent.turns : undefined;
      const said = { ...(areSecretsKnown ? itemOf : withheldItemOf)(agent, event), sessionId, relayId, turn };
      try {
        if (event.type !== "agent.delta") transcripts.of(agent.processId).add(said, at);
        else if (!at.past && areSecretsKnown) transcripts.of(agent.processId).tell(said);
      } catch (error) {
        onStoreError(error); // The database cannot be read at present: no reason to end the agent.
      }
    },
    onAgentEnd: ({ processId, sessionId, exitCode, restarts, state }, isFound = true) => {
      const transcript = transcripts.of(processId);
      const goesOn = state === "restarting";
      const said = { type: goesOn ? "exited" : "ended", sessionId, data: { exit_code: exitCode } };
      // Past: an end that could not be stored is found again by the next daemon, and told once.
      transcript.add(said, { runId: runIdOf(processId, restarts), position: behindTheLog, past: isFound });
      if (!goesOn) transcript.close();
    },
  };
}
