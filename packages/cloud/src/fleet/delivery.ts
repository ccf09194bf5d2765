import type { daemonMethods } from "@hl/protocol/methods.ts";

/**
 * How a request reaches a VM. A row for every method: one that nobody has thought about does not compile.
 *   read     asked of the VM as it is now; not recorded, fails at once while the VM is away.
 *   now      changes something that only makes sense at this moment (keystrokes, signals); recorded and redelivered when
 *            the connection breaks under it, but not queued for a VM that is away.
 *   queue    changes something; recorded before it is forwarded and kept until the VM has answered (C1, C2).
 *   own      belongs to the daemon's own connections and is not forwarded.
 */
export type Delivery = "read" | "now" | "queue" | "own";

export const deliveries: Readonly<Record<keyof typeof daemonMethods, Delivery>> = {
  "auth/login": "own",
  "rpc.discover": "read",
  "system/ping": "read",
  "system/info": "read",
  "system/health": "read",
  "system/healing/reset": "now",
  "system/config/get": "read",
  // Not kept for a VM that is away: what is right for it then is another question.
  "system/config/update": "now",
  "system/logs": "read",
  // Not kept for a VM that is away: it starts by itself when it comes back.
  "system/restart": "now",
  "command/execute": "queue",
  "command/list": "read",
  "command/status": "read",
  "command/logs": "read",
  "command/subscribe": "read",
  "command/input": "now",
  "command/resize": "read",
  "command/signal": "now",
  "command/cancel": "queue",
  "file/read": "read",
  // Asked again it does no harm, and a record of it would be a copy of the file.
  "file/write": "read",
  "file/list": "read",
  "file/stat": "read",
  "file/mkdir": "now",
  "file/move": "now",
  "file/remove": "now",
  "file/watch": "read",
  "file/unwatch": "read",
  "event/stream": "queue",
  "event/subscribe": "read",
  "claude/start": "queue",
  "claude/relay": "queue",
  "claude/interrupt": "now",
  "claude/stop": "queue",
  "claude/list": "read",
  "claude/status": "read",
  "claude/subscribe": "read",
  "approval/list": "read",
  // Not kept for a VM that is away: what was asked there is over, or asked again, when it is back.
  "approval/decide": "now",
  "approval/subscribe": "read",
};

/**
 * When the notifications of a request come: never, before its answer (the answer ends them), or after it
 * (until a closing notification, or until the reader leaves).
 */
export type Streaming = "none" | "before-answer" | "after-answer";

export function streamingOf(method: string, params: unknown): Streaming {
  switch (method) {
    case "claude/relay":
      return "before-answer";
    case "command/execute":
      return (params as { stream_output?: unknown } | undefined)?.stream_output === true ? "after-answer" : "none";
    case "command/subscribe":
    case "event/subscribe":
    case "file/watch":
    case "approval/subscribe":
    case "claude/subscribe":
      return "after-answer";
    default:
      return "none";
  }
}

/** The notification after which a stream has nothing more to say. */
export function isLastNotification(method: string, params: unknown): boolean {
  if (method === "claude/event") return (params as { type?: unknown } | undefined)?.type === "ended";
  return method === "command/exited";
}

/** Whether the answer to a request for a stream says that nothing comes of it: an agent that has ended, and was read to its end. */
export function isEmptyStream(method: string, params: unknown, result: unknown): boolean {
  if (method !== "claude/subscribe") return false;
  const { status, next_seq } = result as { status?: unknown; next_seq?: unknown };
  const { from_seq = next_seq } = params as { from_seq?: unknown };
  return status === "ended" && typeof from_seq === "number" && from_seq >= Number(next_seq);
}
