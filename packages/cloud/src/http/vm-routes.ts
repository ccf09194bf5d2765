import { TLSSocket } from "node:tls";
import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { ParsedInput, Message } from "@hl/core/rpc/message.ts";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { cloudRunIdHeader, runIdHeader } from "@hl/protocol/methods/vm.ts";
import { enrollmentNeeded, vmPaths, type VmMethods } from "../fleet/vm-methods.ts";
import type { RateLimits } from "../limits/rate-limits.ts";
import type { VmLimits } from "../limits/vm-limits.ts";
import type { Credentials } from "../tokens/credentials.ts";
import { bearerOf } from "../tokens/secrets.ts";
import type { CommandChannelOptions } from "../fleet/command-channel.ts";
import { pollRoutes } from "./poll-routes.ts";
import { serveRpc } from "./serve-rpc.ts";

export interface VmRoutesOptions {
  readonly methods: VmMethods;
  readonly credentials: Credentials;
  readonly clock: Clock;
  /** Whether a client certificate of the configured authority is demanded besides the token. */
  readonly clientCertificate: boolean;
  /** For the command channel over polls. */
  readonly channel: CommandChannelOptions;
  /** Throws where another daemon is connected under this identity. */
  readonly requireSole: (instanceId: string, runId: string | undefined) => Promise<void>;
  readonly limits: VmLimits;
  readonly admitConnection: (instanceId: string) => void;
  readonly stopping: AbortSignal;
}

/** Nobody who has shown no token yet may make us buffer more; nor does a heartbeat need to. */
const smallBodyBytesMax = 64 * 1024;
/** The health of a VM with thousands of commands. */
const statusBodyBytesMax = 1024 * 1024;

/** What VMs ask of the cloud over HTTP. */
export function vmRoutes(app: FastifyInstance, options: VmRoutesOptions): void {
  const { methods, clock, limits, credentials, admitConnection, stopping } = options;
  const callers = new WeakMap<FastifyRequest, string>();
  /** Before the body is read: one without a token, or over its rate, is not worth buffering. */
  const authenticate = async (request: FastifyRequest): Promise<void> => {
    const instanceId = await authenticateVm(request, options);
    await options.requireSole(instanceId, runIdOf(request));
    callers.set(request, instanceId);
  };
  const within = (rate: RateLimits) => async (request: FastifyRequest) => {
    await authenticate(request);
    rate.take(instanceOf(request));
  };
  /** Whoever has nothing that lets him in takes no place and has no body read; what he has is judged with the body. */
  const mayRegister = async (request: FastifyRequest): Promise<void> => {
    requireCertificate(request, options);
    const bearer = bearerOf(request.headers.authorization);
    if (bearer !== undefined) await credentials.requireKnown(bearer);
    else if (certificateNameOf(request, options) === undefined) throw enrollmentNeeded();
    limits.registrations.admit();
  };
  /** A refresh token stands in the body: `Credentials` asks for the place when it has judged it. */
  const certified = async (request: FastifyRequest): Promise<void> => requireCertificate(request, options);
  const instanceOf = (request: FastifyRequest): string => callers.get(request) ?? "";

  pollRoutes(app, { channel: options.channel, admitConnection, authenticate, instanceOf, stopping });

  app.post(vmPaths.register, { bodyLimit: smallBodyBytesMax, onRequest: mayRegister }, (request, reply) =>
    serveRpc(
      request,
      reply,
      methods.register({
        bearer: bearerOf(request.headers.authorization),
        certificateName: certificateNameOf(request, options),
        runId: runIdOf(request),
      }),
      clock,
    ),
  );
  app.post(vmPaths.token, { bodyLimit: smallBodyBytesMax, onRequest: certified }, (request, reply) =>
    serveRpc(request, reply, methods.token(runIdOf(request)), clock),
  );
  app.post(
    vmPaths.heartbeat,
    { bodyLimit: smallBodyBytesMax, onRequest: within(limits.signsOfInstance) },
    (request, reply) => serveRpc(request, reply, methods.heartbeat(instanceOf(request)), clock),
  );
  app.post(
    vmPaths.status,
    { bodyLimit: statusBodyBytesMax, onRequest: within(limits.signsOfInstance) },
    (request, reply) => serveRpc(request, reply, methods.status(instanceOf(request)), clock),
  );
  app.post(vmPaths.events, { onRequest: within(limits.batchesOfInstance) }, (request, reply) =>
    serveRpc(
      request,
      reply,
      methods.events(instanceOf(request), headerOf(request, cloudRunIdHeader)),
      clock,
      inSequence,
    ),
  );
}

function runIdOf(request: Pick<FastifyRequest, "headers">): string | undefined {
  return headerOf(request, runIdHeader);
}

function headerOf({ headers }: Pick<FastifyRequest, "headers">, name: string): string | undefined {
  const value = headers[name];
  return typeof value === "string" ? value : undefined;
}

/** Which VM sends this; used for the WebSocket upgrade too. */
export async function authenticateVm(
  request: Pick<FastifyRequest, "headers" | "raw">,
  options: Pick<VmRoutesOptions, "credentials" | "clientCertificate">,
): Promise<string> {
  requireCertificate(request, options);
  const token = bearerOf(request.headers.authorization);
  if (token === undefined) {
    const help = "Register first: POST /v1/vm/register answers an access token.";
    throw new HlError("unauthenticated", "an access token is needed", { help });
  }
  return (await options.credentials.authenticate(token)).instanceId;
}

/** Who a verified client certificate says its holder is. */
function certificateNameOf(
  { raw: { socket } }: Pick<FastifyRequest, "raw">,
  { clientCertificate }: Pick<VmRoutesOptions, "clientCertificate">,
): string | undefined {
  if (!clientCertificate || !(socket instanceof TLSSocket) || !socket.authorized) return undefined;
  const { CN: name } = socket.getPeerCertificate().subject;
  return typeof name === "string" ? name : undefined;
}

function requireCertificate(
  request: Pick<FastifyRequest, "raw">,
  options: Pick<VmRoutesOptions, "clientCertificate">,
): void {
  if (!options.clientCertificate) return;
  const { socket } = request.raw;
  if ("authorized" in socket && socket.authorized === true) return;
  throw new HlError("unauthenticated", "a client certificate of the configured authority is needed", {
    help: "Configure the VM's certificate, or ask who runs hl-cloud for one.",
  });
}

/** Rows keep the order in which they are written, so a batch is written by sequence number inside each epoch (S3). */
function inSequence(input: ParsedInput): ParsedInput {
  const epochs: unknown[] = [];
  const keyed = input.messages.map((message) => {
    const { epoch, seq } = positionOf(message);
    if (!epochs.includes(epoch)) epochs.push(epoch);
    return { message, epoch: epochs.indexOf(epoch), seq };
  });
  keyed.sort((left, right) => left.epoch - right.epoch || left.seq - right.seq);
  return { batch: input.batch, messages: keyed.map(({ message }) => message) };
}

function positionOf(message: Message): { epoch: unknown; seq: number } {
  const params =
    message.kind === "request" ? (message.params as { epoch?: unknown; seq?: unknown } | undefined) : undefined;
  return { epoch: params?.epoch, seq: typeof params?.seq === "number" ? params.seq : 0 };
}
