import type { AgentEvent, AgentInfo, RelayResult } from "../agent.ts";
import type { EngineSession } from "../engine.ts";
import type { Turn } from "../turn-queue.ts";
import type { RpcAnswer, RpcId } from "./rpc-lines.ts";
import type { AskedPermission } from "./rpc-permissions.ts";

/** What a caller's message is in an agent's protocol. */
export type RpcRelay =
  /** A turn; `id` is the caller's own, where it has one. */
  | { readonly kind: "turn"; readonly line: string; readonly id?: RpcId | undefined }
  /** A question beside the turns; its answer is passed on as it is, with the caller's id. */
  | { readonly kind: "request"; readonly id: RpcId; readonly method: string; readonly params: unknown }
  | { readonly kind: "notification"; readonly method: string; readonly params: unknown };

/** What a dialect may do with the agent. */
export interface RpcLink {
  readonly session: EngineSession;
  turnInFlight(): Turn | undefined;
  /** Rejects with `timeout` or `exited`; without a time limit it waits as long as the process lives. */
  ask(method: string, params: unknown, timeoutMs: number | undefined): Promise<RpcAnswer>;
  notify(method: string, params: unknown): Promise<void>;
  emit(event: AgentEvent): void;
  /** Milliseconds, monotonic. */
  now(): number;
  /** Answers every open permission request as cancelled. */
  cancelPermissions(): void;
  onToolOver(toolUseId: string): void;
  endInput(): void;
}

/** One protocol over JSON-RPC: what is said when, and what it means. One agent has one. */
export interface RpcDialect {
  readonly protocol: AgentInfo["protocol"];
  /** Undefined until the agent has said it. */
  readonly sessionId: string | undefined;
  /** Rejects with an `AgentFailure`; `control_refused` is one that answered and cannot be used. */
  begin(timeoutMs: number | undefined): Promise<AgentInfo>;
  /** Throws `invalid_message`. */
  parse(message: unknown, relayId: string): RpcRelay;
  onNotification(method: string, params: unknown, raw: unknown): void;
  /** Undefined for a method that is not offered here. */
  permissionOf(method: string, params: unknown, raw: unknown): AskedPermission | undefined;
  /** The id of a request that this notification withdraws. */
  withdrawnBy(method: string, params: unknown): unknown;
  resultOf(answer: RpcAnswer, turn: Turn, raw: unknown): RelayResult;
  response(result: RelayResult, message: unknown): unknown;
  interrupt(timeoutMs: number): Promise<void>;
  ping(timeoutMs: number | undefined): Promise<void>;
  end(timeoutMs: number): Promise<void>;
  /** Whether the agent works on a turn; undefined where it does not say. */
  isBusy?(): Promise<boolean | undefined>;
  /** Whether a turn that does not end although it was interrupted gives its place to the next one. */
  readonly givesUp: boolean;
}
