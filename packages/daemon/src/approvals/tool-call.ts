/** What an agent wants a tool to do, as rules see it. */
export interface ToolCall {
  readonly toolName: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** What relative paths begin at. */
  readonly cwd: string;
  /** A path that the agent itself names as the reason for asking. */
  readonly blockedPath?: string | undefined;
}

/** A tool that the agent may not run before somebody has said so. */
export interface AskedCall extends ToolCall {
  readonly processId: string;
  /** The agent's own id of the request, unique in its process. */
  readonly agentRequestId: string;
  readonly sessionId?: string | undefined;
  readonly relayId?: string | undefined;
  readonly toolUseId?: string | undefined;
  readonly subagentId?: string | undefined;
  readonly title?: string | undefined;
  readonly description?: string | undefined;
  readonly reason?: string | undefined;
  readonly requiresUserInteraction: boolean;
  readonly canRemember: boolean;
  /** False where the agent cannot be told of another input. */
  readonly canEdit?: boolean | undefined;
  /** Aborts when no answer can reach the agent any more; its reason is a `Withdrawal`. */
  readonly withdrawn: AbortSignal;
}

/** `withdrawn`: the agent asks no longer; `lost`: it has ended; `detached`: it goes on, and its next daemon will be asked. */
export type Withdrawal = "withdrawn" | "lost" | "detached";

/** What the agent is told. */
export type Outcome =
  | {
      readonly behavior: "allow";
      readonly updatedInput?: Readonly<Record<string, unknown>> | undefined;
      readonly remember?: "session" | undefined;
    }
  | { readonly behavior: "deny"; readonly message: string; readonly interrupt?: boolean | undefined };
