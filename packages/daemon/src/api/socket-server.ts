import { chmodSync, rmSync } from "node:fs";
import { createConnection, createServer, type Server, type Socket } from "node:net";
import type { Clock } from "@hl/core/clock.ts";
import { defaultMessageLimits } from "@hl/core/rpc/message.ts";
import { NdjsonTransport } from "@hl/core/rpc/ndjson.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { TransportLimits } from "@hl/core/rpc/transport.ts";
import type { Service } from "@hl/core/service.ts";
import { expiredText } from "@hl/protocol/expiry.ts";
import { CallerExpiry } from "./caller-expiry.ts";
import { ConnectionGuard, strangerRefusalsMax, type EndReason } from "./connection-guard.ts";
import type { ConnectionNumbers } from "./connection-numbers.ts";
import type { ConnectionSlots, Slot } from "./connection-slots.ts";
import type { ReportRefusal } from "./refusal-reports.ts";
import type { Session, SessionFactory, SessionWatcher } from "./session.ts";

export interface SocketServerOptions {
  readonly path: string;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  readonly slots: ConnectionSlots;
  readonly numbers: Readonly<ConnectionNumbers>;
  readonly session: SessionFactory;
  readonly report: ReportRefusal;
}

/** All of them: what is at the other end of a unix socket, Node does not say. */
const from = "unix socket";
/** Before a login, which has a token of at most 16 KiB. Whoever may send more may also have it held in memory. */
const strangerMessageBytesMax = 20 * 1024;
/** In all: as many as may be refused, each as long as it may be. */
const strangerBytesMax = strangerRefusalsMax * strangerMessageBytesMax;
/** What was said to somebody who does not log in goes out at once or not at all. */
const strangerFarewellMs = 1_000;

const endTexts: Readonly<Record<EndReason, string>> = {
  no_login_in_time: "no login in time",
  no_login_but_messages: "too many messages before a login",
  idle: "nothing was asked for too long",
};

/** The local unix socket: newline-delimited JSON-RPC. A caller logs in with its first request (DESIGN.md 3.2 says why). */
export class SocketServer implements Service {
  readonly name = "api/socket";
  readonly #options: SocketServerOptions;
  readonly #server: Server;
  readonly #connections = new Map<Socket, Peer>();
  readonly #ended = Promise.withResolvers<undefined>();

  constructor(options: SocketServerOptions) {
    this.#options = options;
    this.#server = createServer({ allowHalfOpen: true }, (socket) => this.#accept(socket));
  }

  get done(): Promise<void> {
    return this.#ended.promise;
  }

  async start(): Promise<void> {
    const { path } = this.#options;
    if (await isServed(path)) throw new Error(`another hl-daemon serves ${path}`);
    rmSync(path, { force: true }); // Left behind by a daemon that was killed.
    await new Promise<void>((resolve, reject) => {
      this.#server.once("error", reject);
      this.#server.listen(path, () => {
        this.#server.off("error", reject);
        resolve();
      });
    });
    chmodSync(path, 0o660);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const peer of this.#connections.values()) peer.close("the daemon is stopping");
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
    });
    this.#ended.resolve(undefined);
  }

  #accept(socket: Socket): void {
    const { slots, session, report } = this.#options;
    const slot = slots.take("socket", () => {
      report("pushed_out", from);
      socket.destroy();
    });
    if (slot !== undefined) {
      this.#serve(socket, slot);
      return;
    }
    report("no_room", from);
    socket.on("error", () => {});
    const text = `${slots.connectionsMax} connections are open`;
    socket.end(`${JSON.stringify(session.refusal("rate_limited", text, { retry_after_ms: 1_000 }))}\n`, () =>
      socket.destroy(),
    );
  }

  #serve(socket: Socket, slot: Slot): void {
    const { clock, limits, numbers, session, report } = this.#options;
    const transport = new NdjsonTransport(socket, clock, limits);
    transport.limitMessages(strangerMessageBytesMax);
    const watcher: SessionWatcher = {
      admitted: () => guard.admitted(),
      refused: (count) => guard.refused(count),
      loggedIn: (caller) => {
        transport.limitMessages(limits.messageBytesMax);
        guard.loggedIn(caller);
        expiry.watch(caller);
      },
    };
    const expiry = new CallerExpiry(clock, () => peer.close(expiredText));
    const own: Session = session.open({ via: "socket", from, watcher });
    const isKnown = (): boolean => own.caller() !== undefined;
    const peer = new Peer({
      transport,
      clock,
      handler: own.handler,
      inFlightMax: numbers.inFlightMax,
      refusals: session.refusals,
      limits: {
        ...defaultMessageLimits,
        // A short line can hold a thousand messages, each of which is answered.
        get batchLengthMax() {
          return isKnown() ? defaultMessageLimits.batchLengthMax : strangerRefusalsMax;
        },
      },
      onOther: (count, kind) => own.noRequests(kind === "too_large" && !isKnown() ? strangerRefusalsMax : count),
    });
    const end = (why: EndReason): void => {
      if (why !== "idle") report(why, from);
      if (why === "no_login_but_messages") {
        transport.send(JSON.stringify(session.refusal("unauthenticated", endTexts[why]))).catch(() => {});
      }
      peer.close(endTexts[why]);
      if (!isKnown())
        socket.once(
          "close",
          clock.after(strangerFarewellMs, () => socket.destroy()),
        );
    };
    const guard = new ConnectionGuard({ peer, slot, clock, numbers, end });
    this.#connections.set(socket, peer);
    socket.once("close", () => {
      slot.release();
      expiry[Symbol.dispose]();
      this.#connections.delete(socket);
    });
    // Whatever the bytes are: empty lines are nothing to answer, and still work.
    const weigh = (): void => {
      if (isKnown()) socket.off("data", weigh);
      else if (socket.bytesRead > strangerBytesMax) guard.refused(strangerRefusalsMax);
    };
    guard.begin();
    peer.open();
    socket.on("data", weigh);
  }
}

function isServed(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    probe.once("connect", () => {
      probe.destroy();
      resolve(true);
    });
    probe.once("error", () => resolve(false));
  });
}
