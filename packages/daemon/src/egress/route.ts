import { lookup } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { destinationText, type Destination } from "./destination.ts";
import type { EgressPolicy } from "./egress-policy.ts";

/** Every address of a name; rejects where it has none. */
export type Resolver = (host: string) => Promise<readonly string[]>;

/**
 * As every other program of this machine resolves: /etc/hosts first, then DNS. Names that never answer cannot hold up the disk: libuv
 * gives look-ups half of its threads at most.
 */
export const systemResolver: Resolver = async (host) =>
  (await lookup(host, { all: true, order: "verbatim" })).map(({ address }) => address);

/** Names looked up at once; one more is refused. libuv works at two at a time, so a longer queue would only be waited for in vain. */
export const lookupsMax = 32;

/**
 * Nobody can call a look-up back, so those that were given up stay in libuv's queue: here they are counted until they have ended, and
 * who asks for a name that is being looked up waits for the same answer.
 */
export function boundedResolver(resolver: Resolver, max: number): Resolver {
  const underWay = new Map<string, Promise<readonly string[]>>();
  return async (host) => {
    const joined = underWay.get(host);
    if (joined !== undefined) return joined;
    if (underWay.size >= max)
      throw new Error(`${max} names are being looked up already, which is the limit: try again`);
    const lookup = resolver(host).finally(() => underWay.delete(host));
    underWay.set(host, lookup);
    return lookup;
  };
}

/** The policy has said no. The message is one line for the person who meets it. */
export class EgressRefused extends Error {
  override readonly name = "EgressRefused";
  readonly rule: string | undefined;

  constructor(reason: string, rule: string | undefined) {
    super(reason);
    this.rule = rule;
  }
}

/** It was allowed and could not be reached. */
export class EgressFailed extends Error {
  override readonly name = "EgressFailed";
  /** Of the answer: 502, or 504 where time ran out. */
  readonly status: 502 | 504;

  constructor(status: 502 | 504, message: string) {
    super(message);
    this.status = status;
  }
}

export interface RouteOptions {
  readonly policy: EgressPolicy;
  readonly resolve: Resolver;
  readonly clock: Clock;
  /** For the name and all its addresses together. */
  readonly connectMs: number;
}

export interface Route {
  readonly socket: Socket;
  /** The address that was judged, which is the one that the connection goes to. */
  readonly address: string;
  /** The entry of the allow list. */
  readonly rule: string;
}

/**
 * Judges, resolves once, judges every address, and connects to one of those: what was judged is what is connected to, so a name that
 * changes its mind in between (DNS rebinding) changes nothing. Rejects with EgressRefused or EgressFailed.
 */
export async function openRoute(options: RouteOptions, destination: Destination, signal: AbortSignal): Promise<Route> {
  const { policy, clock, connectMs } = options;
  const verdict = policy.judgeHost(destination);
  if (!verdict.allowed) throw new EgressRefused(verdict.reason, verdict.rule);
  const text = destinationText(destination);
  const late = new AbortController();
  const cancel = clock.after(connectMs, () =>
    late.abort(new EgressFailed(504, `${text} could not be reached within ${connectMs} ms`)),
  );
  const deadline = clock.now() + connectMs;
  const stopped = AbortSignal.any([signal, late.signal]);
  try {
    const addresses = await abortable(resolve(options.resolve, destination.host), stopped);
    const allowed = judged(policy, destination, addresses);
    let failure: unknown;
    for (const [index, address] of allowed.entries()) {
      // Each gets its share of what is left, so that one that swallows packets leaves time for the next.
      const shareMs = Math.max(1, (deadline - clock.now()) / (allowed.length - index));
      try {
        const socket = await connectTo(address, destination.port, clock, shareMs, stopped);
        return { socket, address, rule: verdict.rule };
      } catch (error) {
        stopped.throwIfAborted();
        failure ??= error;
      }
    }
    if (failure instanceof EgressFailed) throw failure;
    throw new EgressFailed(502, `${text} could not be reached: ${errorText(failure)}`);
  } finally {
    cancel();
  }
}

/** Those of them that are allowed; throws the first refusal when none is. */
function judged(policy: EgressPolicy, destination: Destination, addresses: readonly string[]): readonly string[] {
  const verdicts = addresses.map((address) => ({ address, verdict: policy.judgeAddress(destination, address) }));
  const allowed = verdicts.filter(({ verdict }) => verdict.allowed).map(({ address }) => address);
  if (allowed.length > 0) return allowed;
  for (const { verdict } of verdicts) if (!verdict.allowed) throw new EgressRefused(verdict.reason, verdict.rule);
  throw new EgressFailed(502, `${destination.host} has no address`);
}

async function resolve(resolver: Resolver, host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return await resolver(host);
  } catch (error) {
    throw new EgressFailed(502, `${host} cannot be resolved: ${errorText(error)}`);
  }
}

/** @param address never a name: nothing is looked up again */
async function connectTo(
  address: string,
  port: number,
  clock: Clock,
  ms: number,
  signal: AbortSignal,
): Promise<Socket> {
  const { promise, resolve: settle, reject } = Promise.withResolvers<Socket>();
  const socket = connect({ host: address, port, family: isIP(address), allowHalfOpen: true, noDelay: true });
  const cancel = clock.after(ms, () => reject(new EgressFailed(504, `${address} did not answer in time`)));
  socket.on("error", reject); // It stays: a connection that breaks before somebody has taken it over must not end the daemon.
  socket.once("connect", () => settle(socket));
  try {
    return await abortable(promise, signal);
  } catch (error) {
    socket.destroy();
    throw error;
  } finally {
    cancel();
  }
}

/** A look-up cannot be called back: only the waiting for it ends. */
async function abortable<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    return await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
