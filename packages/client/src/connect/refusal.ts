import { UpgradeRefused } from "@hl/core/rpc/connect-websocket.ts";
import { HlError, errorTypeOf, type ErrorType } from "@hl/protocol/errors.ts";
import * as z from "zod";
import { ClientFailure } from "../failure.ts";
import type { Target } from "./target.ts";

/** Why a connection could not be made, in words: what was tried, why it failed, what to do. */
export function connectFailure(target: Target, error: unknown): Error {
  if (error instanceof UpgradeRefused) return upgradeFailure(target, error);
  const { code } = error as NodeJS.ErrnoException;
  const text = error instanceof Error ? error.message : String(error);
  return target.kind === "socket"
    ? socketFailure(target.path, code, text, error)
    : new ClientFailure(
        "unreachable",
        `cannot reach ${plainUrl(target.url)}: ${reasons[code ?? ""] ?? text}`,
        webSocketHelp(target),
        { cause: error },
      );
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: "the connection was refused, nothing listens there",
  ENOTFOUND: "there is no host of this name",
  EAI_AGAIN: "the name could not be looked up",
  ETIMEDOUT: "no answer",
  EHOSTUNREACH: "no route to the host",
  ENETUNREACH: "no route to the network",
  ECONNRESET: "the connection was cut while it opened",
};

const startHelp =
  "Start the daemon: `systemctl start hl-daemon`, or `npm start` in a checkout. Another one: --socket, --url or --cloud.";

function socketFailure(path: string, code: string | undefined, text: string, cause: unknown): ClientFailure {
  switch (code) {
    case "ENOENT":
      return new ClientFailure("unreachable", `no daemon at ${path}: there is no such socket`, startHelp, { cause });
    case "ECONNREFUSED":
      return new ClientFailure(
        "unreachable",
        `no daemon at ${path}: the socket is there, but nobody listens`,
        startHelp,
        { cause },
      );
    case "EACCES":
    case "EPERM": {
      const help = "Become a member of the daemon's group (freestyle-daemon) or use sudo.";
      return new ClientFailure("no_token", `the socket ${path} may not be opened by you`, help, { cause });
    }
    case "ENOTSOCK":
    case "ENOTDIR":
      return new ClientFailure("unreachable", `${path} is not a socket`, startHelp, { cause });
    case "EINVAL":
      return new ClientFailure(
        "usage",
        `${path} is too long for a socket (107 bytes)`,
        "Use a shorter --home for the daemon.",
        { cause },
      );
    default:
      return new ClientFailure("unreachable", `cannot connect to ${path}: ${text}`, startHelp, { cause });
  }
}

const errorBody = z.object({
  error: z.object({ code: z.number(), message: z.string(), data: z.record(z.string(), z.unknown()).optional() }),
});

/** The body's own error is the best answer; a proxy in between has only its status. */
function upgradeFailure(target: Target, refused: UpgradeRefused): Error {
  const where = target.kind === "socket" ? target.path : plainUrl(target.url);
  const body = errorBody.safeParse(asJson(refused.body));
  if (body.success) {
    const { code, message, data } = body.data.error;
    const type = errorTypeOf(code);
    if (type !== undefined) return new HlError(type, message, data, { cause: refused });
  }
  const type = typeByStatus[refused.status];
  if (type !== undefined)
    return new HlError(type, `${where} refuses the connection (status ${refused.status})`, {}, { cause: refused });
  const passing = refused.status === 502 || refused.status === 503 || refused.status === 504;
  const help = passing ? "Try again in a moment." : "Is this the address of hl-cloud, or of the daemon's local HTTP?";
  return new ClientFailure(
    "unreachable",
    `${where} answered with status ${refused.status} and not as a WebSocket`,
    help,
    { cause: refused },
  );
}

const typeByStatus: Readonly<Record<number, ErrorType>> = {
  401: "unauthenticated",
  403: "permission_denied",
  429: "rate_limited",
};

function webSocketHelp(target: Target): string {
  return target.kind === "websocket" && target.through === "cloud"
    ? "Check --cloud (HL_CLOUD) and that hl-cloud runs: its GET /health should answer."
    : startHelp;
}

/** Without what a URL may carry besides the place. */
function plainUrl(url: string): string {
  const { protocol, host, pathname } = new URL(url);
  return `${protocol}//${host}${pathname}`;
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
