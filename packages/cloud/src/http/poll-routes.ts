import { defaultTransportLimits } from "@hl/core/rpc/transport.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import * as z from "zod";
import { openCommandChannel, type CommandChannelOptions } from "../fleet/command-channel.ts";
import { PollSession } from "../fleet/poll-session.ts";
import { vmPaths } from "../fleet/vm-methods.ts";
import { readText } from "./body.ts";

export interface PollRoutesOptions {
  readonly channel: CommandChannelOptions;
  /** Lets a new command channel of an instance in, or throws. */
  readonly admitConnection: (instanceId: string) => void;
  readonly stopping: AbortSignal;
  /** An onRequest hook that judges the VM's token. */
  readonly authenticate: (request: FastifyRequest) => Promise<void>;
  readonly instanceOf: (request: FastifyRequest) => string;
}

const query = z.object({
  session: z.string().min(1).max(64).default("default"),
  wait: z.coerce.number().min(0).default(0),
});
/** Below what proxies on the way allow a request to take. */
const waitSecondsMax = 55;
const waitSecondsDefault = 25;
/** The old one, the new one, and what a daemon that has trouble leaves behind until it is given up. */
const sessionsPerInstanceMax = 4;
const answerBytesMax = 1024 * 1024;

/**
 * The command channel without a WebSocket, on the same path: POST brings messages of the VM (the first is `vm/hello`), GET waits
 * for messages to it, DELETE ends the session. Bodies and answers are arrays of JSON-RPC messages.
 */
export function pollRoutes(app: FastifyInstance, options: PollRoutesOptions): void {
  const { channel, admitConnection, authenticate, instanceOf, stopping } = options;
  const sessions = new Map<string, Map<string, PollSession>>();
  const path = vmPaths.commands;
  const hook = { onRequest: authenticate };

  const find = (request: FastifyRequest): PollSession | undefined =>
    sessions.get(instanceOf(request))?.get(query.parse(request.query).session);

  const begin = (request: FastifyRequest): PollSession => {
    const instanceId = instanceOf(request);
    const { session: name } = query.parse(request.query);
    const own = sessions.get(instanceId) ?? new Map<string, PollSession>();
    if (own.size >= sessionsPerInstanceMax) {
      const text = `${own.size} sessions of this instance are open`;
      throw new HlError("rate_limited", text, { retry_after_ms: channel.deadAfterMs });
    }
    admitConnection(instanceId);
    const { clock, deadAfterMs } = channel;
    const session = new PollSession({ clock, deadAfterMs, answerBytesMax, limits: defaultTransportLimits });
    sessions.set(instanceId, own.set(name, session));
    void openCommandChannel(session, instanceId, channel).closed.then(() => {
      // What was said last is for the poll that is under way; after it the session is unknown.
      const forget = (): void => {
        if (own.get(name) === session) own.delete(name);
        if (own.size === 0 && sessions.get(instanceId) === own) sessions.delete(instanceId);
      };
      if (stopping.aborted) return;
      const cancel = clock.after(lastWordsMs, () => {
        stopping.removeEventListener("abort", cancel);
        forget();
      });
      stopping.addEventListener("abort", cancel, { once: true });
    });
    return session;
  };

  app.post(path, hook, async (request, reply) => {
    const messages = messagesIn(await readText(request));
    const known = find(request);
    if (known === undefined && !isHello(messages[0])) throw ended();
    const session = known ?? begin(request);
    await session.deliver(messages);
    const { wait } = query.parse(request.query);
    return wait === 0 ? sendAll(reply, []) : answerWith(session, reply, wait);
  });
  app.get(path, hook, async (request, reply) => {
    const session = find(request);
    if (session === undefined) throw ended();
    return answerWith(session, reply, query.parse(request.query).wait || waitSecondsDefault);
  });
  app.delete(path, hook, async (request, reply) => {
    find(request)?.close("the daemon ended the session");
    return sendAll(reply, []);
  });
}

const lastWordsMs = 5_000;

async function answerWith(session: PollSession, reply: FastifyReply, waitSeconds: number): Promise<FastifyReply> {
  const gone = new AbortController();
  reply.raw.once("close", () => gone.abort());
  const taken = await session.take(Math.min(waitSeconds, waitSecondsMax) * 1000, gone.signal);
  if (taken === undefined) throw ended();
  return sendAll(reply, taken);
}

function sendAll(reply: FastifyReply, texts: readonly string[]): FastifyReply {
  return reply.type("application/json").send(`[${texts.join(",")}]`);
}

function messagesIn(text: string): readonly unknown[] {
  try {
    const value: unknown = JSON.parse(text);
    return Array.isArray(value) ? (value as unknown[]) : [value];
  } catch (error) {
    throw new HlError("parse_error", "the body is not JSON", {}, { cause: error });
  }
}

function isHello(message: unknown): boolean {
  return (message as { method?: unknown } | null | undefined)?.method === "vm/hello";
}

function ended(): HlError {
  return new HlError("session_ended", "there is no such session: it was ended, or hl-cloud has started anew");
}
