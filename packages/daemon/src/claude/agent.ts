/**
 * What the daemon and an agent adapter say to each other, whatever protocol the agent speaks. Objects that go on the wire as they
 * are (`AgentInfo`, `RelayResult`, `JsonRpcAnswer`) have snake_case members.
 */

/** What an agent says about itself when it is ready. */
export interface AgentInfo {
  readonly protocol: "jsonrpc" | "stream-json" | "acp";
  readonly pid?: number | undefined;
  readonly agent_version?: string | undefined;
  /** Not before the first turn in stream-json. */
  readonly session_id?: string | undefined;
  readonly state?: AgentState | undefined;
  readonly permission_mode?: string | undefined;
  readonly capabilities: readonly string[];
  readonly models: readonly string[];
}

export type AgentState = "idle" | "running" | "requires_action";

/** What one turn ended with. What the agent itself reports as a failure is a result with `is_error`, not an `AgentFailure`. */
export interface RelayResult {
  /** The final text; of a turn that was cut short, what had come until then. */
  readonly text: string;
  readonly is_error: boolean;
  readonly error?: RelayError | undefined;
  readonly stop_reason: string | null;
  readonly session_id?: string | undefined;
  readonly num_turns?: number | undefined;
  readonly usage?: unknown;
  readonly cost_usd?: number | undefined;
  readonly permission_denials?: readonly unknown[] | undefined;
  /** This relay id was run before; nothing was run now and the text is not repeated. */
  readonly duplicate?: true | undefined;
  /** The agent's own last message of the turn, untouched; null where it sent none. */
  readonly raw: unknown;
}

export interface RelayError {
  readonly kind: "api" | "interrupted" | "max_turns" | "limit" | "other";
  /** HTTP status of the model's API, where there was one. */
  readonly status?: number | undefined;
  readonly message: string;
}

/** The answer to a relayed JSON-RPC request. */
export interface JsonRpcAnswer {
  readonly jsonrpc: "2.0";
  readonly id: string | number | null;
  readonly result: unknown;
}

/** How an agent's process ended. */
export interface ExitInfo {
  readonly code: number | null;
  readonly signal: string | null;
  readonly stderrTail?: string | undefined;
}

/** A tool that the agent may not run before somebody has said so. */
export interface PermissionRequest {
  /** The agent's own id of the request; never reused by one process. */
  readonly agentRequestId: string;
  readonly relayId?: string | undefined;
  readonly sessionId?: string | undefined;
  readonly toolName: string;
  readonly toolUseId?: string | undefined;
  readonly input: Readonly<Record<string, unknown>>;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly reason?: string | undefined;
  readonly blockedPath?: string | undefined;
  readonly subagentId?: string | undefined;
  readonly requiresUserInteraction: boolean;
  /** Whether `remember: "session"` would have an effect. */
  readonly canRemember: boolean;
  /** False where another input cannot be said in the agent's protocol. */
  readonly canEdit?: boolean | undefined;
  /** Aborts when a decision has no effect any more; its reason is a `Withdrawal`. */
  readonly withdrawn: AbortSignal;
  readonly raw: unknown;
}

/** `withdrawn`: the agent asks no longer; `lost`: its process has ended; `detached`: it goes on and asks the next daemon. */
export type Withdrawal = "withdrawn" | "lost" | "detached";

/** A tool call that is about to run, whether the agent would ask for it or not. */
export interface ToolUse {
  readonly toolName: string;
  readonly toolUseId?: string | undefined;
  readonly input: Readonly<Record<string, unknown>>;
  /** The agent's working directory at the moment. */
  readonly cwd?: string | undefined;
}

/** `deny`: it does not run; `ask`: the agent has to ask for it. */
export interface ToolVerdict {
  readonly decision: "deny" | "ask";
  /** Told to the model, or given as the reason of the question. */
  readonly message: string;
}

export type Decision =
  | {
      readonly behavior: "allow";
      /** Run with this input in place of the one that was asked for; also carries the answers of AskUserQuestion. */
      readonly updatedInput?: Readonly<Record<string, unknown>> | undefined;
      /** Do not ask again for what the agent's own suggestion covers, until this session ends. */
      readonly remember?: "session" | undefined;
    }
  | {
      readonly behavior: "deny";
      /** Told to the model word for word. */
      readonly message: string;
      /** End the turn as well. */
      readonly interrupt?: boolean | undefined;
    };

interface EventContext {
  readonly relayId?: string | undefined;
  readonly sessionId?: string | undefined;
}

/** Deltas are best effort; every other event is worth keeping. `raw` is the agent's own message. */
export type AgentEvent = EventContext &
  (
    | { readonly type: "agent.ready"; readonly info: AgentInfo; readonly raw: unknown }
    | {
        readonly type: "agent.status";
        readonly state: AgentState;
        readonly detail?: string | undefined;
        readonly raw: unknown;
      }
    /** The turn is recorded and its message is about to be written; told by the daemon, not by the agent. */
    | { readonly type: "agent.turn_started"; readonly message: unknown }
    | {
        readonly type: "agent.delta";
        readonly kind: "text" | "thinking";
        readonly text: string;
        readonly subagentOf?: string | undefined;
      }
    | {
        readonly type: "agent.message";
        readonly text: string;
        readonly thinking: string;
        readonly subagentOf?: string | undefined;
        readonly raw: unknown;
      }
    | {
        readonly type: "agent.tool_call";
        readonly toolUseId: string;
        readonly toolName: string;
        readonly input: unknown;
        readonly subagentOf?: string | undefined;
        readonly raw: unknown;
      }
    | {
        readonly type: "agent.tool_result";
        readonly toolUseId: string;
        readonly isError: boolean;
        readonly content: unknown;
        readonly subagentOf?: string | undefined;
        readonly raw: unknown;
      }
    | {
        readonly type: "agent.retry";
        readonly attempt: number;
        readonly delayMs: number;
        readonly status: number | null;
        readonly raw: unknown;
      }
    | {
        readonly type: "agent.turn_completed";
        readonly result: RelayResult;
        /** The result is that of another relay too, which was told first: what it has used is counted there. */
        readonly shared?: boolean | undefined;
      }
    | { readonly type: "agent.log"; readonly stream: "stdout"; readonly text: string }
    /** A notification of an agent that speaks JSON-RPC; what it means is between the agent and whoever watches. */
    | {
        readonly type: "agent.notification";
        readonly method: string;
        readonly params: unknown;
        readonly raw: unknown;
      }
    | { readonly type: "agent.unknown"; readonly raw: unknown }
    | { readonly type: "agent.line_skipped"; readonly bytes: number; readonly lineBytesMax: number }
    /** Output that the log no longer had when it was read. */
    | { readonly type: "agent.gap"; readonly bytes: number }
  );

/** Why the daemon (not the agent) could not answer. */
export type AgentFailureKind =
  | "timeout"
  | "exited"
  | "busy"
  | "cancelled"
  | "invalid_message"
  | "control_refused"
  /** The turn could not be recorded, and was not sent. */
  | "not_recorded"
  /** Nobody knows whether the agent has got the message. */
  | "outcome_unknown";

/** Facts that help the caller decide what to do next. */
export interface AgentFailureFacts {
  /** Whether the agent has got the message; false means that sending it again cannot run it twice. */
  readonly sent?: boolean | undefined;
  /** Whether the agent confirmed the end of the turn after it was interrupted. */
  readonly turnEnded?: boolean | undefined;
  /** The text that had come before the failure. */
  readonly partialText?: string | undefined;
  readonly exit?: ExitInfo | undefined;
}

/** A failure of the daemon's own part: 1203 timeout, 1204 exited, 1205 busy, -32602 invalid_message in the table of errors. */
export class AgentFailure extends Error {
  override readonly name = "AgentFailure";
  readonly kind: AgentFailureKind;
  readonly facts: AgentFailureFacts;

  constructor(kind: AgentFailureKind, message: string, facts: AgentFailureFacts = {}, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.kind = kind;
    this.facts = facts;
  }
}
