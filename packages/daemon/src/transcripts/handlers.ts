import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { ClaudeProcess } from "@hl/protocol/methods/claude-list.ts";
import type { Transcripts } from "./transcripts.ts";

export interface TranscriptHandlerDeps {
  readonly transcripts: Transcripts;
  /** Throws `claude_process_unknown`. */
  readonly statusOf: (processId: string) => ClaudeProcess["status"];
}

export function transcriptHandlers(deps: TranscriptHandlerDeps): Pick<Handlers<DaemonMethods>, "claude/subscribe"> {
  return {
    "claude/subscribe": async ({ process_id, from_seq }, call) => {
      const status = deps.statusOf(process_id);
      if (!call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      const transcript = deps.transcripts.of(process_id);
      const { firstSeq, nextSeq } = transcript;
      if (from_seq !== undefined && from_seq > nextSeq) {
        const text = `from_seq: there is nothing behind ${from_seq}; the next event of this agent is ${nextSeq}`;
        throw new HlError("invalid_params", text, { process_id, from_seq, next_seq: nextSeq });
      }
      if (status === "ended") transcript.close();
      const notify = (method: string, params: unknown): Promise<void> => call.notify(method, params);
      call.stream((signal) => transcript.follow(from_seq ?? nextSeq, notify, signal));
      return { process_id, status, first_seq: firstSeq, next_seq: nextSeq };
    },
  };
}
