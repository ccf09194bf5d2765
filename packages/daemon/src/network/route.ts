import { lookup } from "node:dns/promises";
import { isIP, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { errorText } from "@hl/core/logger.ts";
import { abortable } from "./abortable.ts";
import { connectFirst } from "./connect-first.ts";
import { destinationText, type Destination } from "./destination.ts";
import type { DestinationPolicy } from "./verdict.ts";

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
export class RouteRefused extends Error {
  override readonly name = "RouteRefused";
  readonly rule: string | undefined;

  constructor(reason: string, rule: string | undefined) {
    super(reason);
    this.rule = rule;
  }
}

/** It was allowed and could not be reached. */
export class RouteFailed extends Error {
  override readonly name = "RouteFailed";
  /** Of the answer: 502, or 504 where time ran out. */
  readonly status: 502 | 504;

  constructor(status: 502 | 504, message: string) {
    super(message);
    this.status = status;
  }
}

export interface RouteOptions {
  readonly policy: DestinationPolicy;
  readonly resolve: Resolver;
  readonly clock: Clock;
  /** For the name and all its addresses together. */
  readonly connectMs: number;
  /** Our end stays open when the other side ends its own: for tunnels. */
  readonly halfOpen: boolean;
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
 * changes its mind in between (DNS rebinding) changes nothing. Rejects with RouteRefused or RouteFailed.
 */
export async function openRoute(options: RouteOptions, destination: Destination, signal: AbortSignal): Promise<Route> {
  const { policy, clock, connectMs } = options;
  const verdict = policy.judgeHost(destination);
  if (!verdict.allowed) throw new RouteRefused(verdict.reason, verdict.rule);
  const text = destinationText(destination);
  const late = new AbortController();
  const cancel = clock.after(connectMs, () =>
    late.abort(new RouteFailed(504, `${text} could not be reached within ${connectMs} ms`)),
  );
  const stopped = AbortSignal.any([signal, late.signal]);
  try {
    const addresses = await abortable(resolve(options.resolve, destination.host), stopped);
    const allowed = judged(policy, destination, addresses);
    const connected = await connectFirst(allowed, destination.port, options, stopped);
    return { ...connected, rule: verdict.rule };
  } catch (error) {
    if (stopped.aborted) throw stopped.reason;
    if (error instanceof RouteFailed || error instanceof RouteRefused) throw error;
    throw new RouteFailed(502, `${text} could not be reached: ${errorText(error)}`);
  } finally {
    cancel();
  }
}

/** Those of them that are allowed; throws the first refusal when none is. */
function judged(policy: DestinationPolicy, destination: Destination, addresses: readonly string[]): readonly string[] {
  const verdicts = [...new Set(addresses)].map((address) => ({
    address,
    verdict: policy.judgeAddress(destination, address),
  }));
  const allowed = verdicts.filter(({ verdict }) => verdict.allowed).map(({ address }) => address);
  if (allowed.length > 0) return allowed;
  for (const { verdict } of verdicts) if (!verdict.allowed) throw new RouteRefused(verdict.reason, verdict.rule);
  throw new RouteFailed(502, `${destination.host} has no address`);
}

async function resolve(resolver: Resolver, host: string): Promise<readonly string[]> {
  if (isIP(host) !== 0) return [host];
  try {
    return await resolver(host);
  } catch (error) {
    throw new RouteFailed(502, `${host} cannot be resolved: ${errorText(error)}`);
  }
}
