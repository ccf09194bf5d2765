import type { Socket } from "node:net";
import type { WebSocket } from "ws";
import type { Clock } from "../clock.ts";
import type { EncodedMessage } from "./encoded-message.ts";
import { MessageEncoder } from "./message-encoder.ts";
import type { Transport, TransportLimits, TransportReceiver } from "./transport.ts";
import { WriteGate, writeProgress } from "./write-gate.ts";

export interface WebSocketTransportOptions {
  readonly socket: WebSocket;
  readonly clock: Clock;
  readonly limits: TransportLimits;
  /** Ping after so much silence; 0 turns the dead-peer test off. */
  readonly pingIntervalMs: number;
  /** Without any frame for so long the peer counts as dead. */
  readonly deadAfterMs: number;
  /** Called whenever the timer of the dead-peer test fires: who has something to look at now and then needs none of its own. */
  readonly onTick?: (() => void) | undefined;
}

/**
 * One JSON message a text frame. Any frame counts as a sign of life, not only pongs: a peer that floods us is alive.
 * The size limit itself is `maxPayload` of the socket, which refuses before buffering.
 */
export class WebSocketTransport implements Transport {
  readonly #options: WebSocketTransportOptions;
  readonly #gate: WriteGate;
  readonly #encoder = new MessageEncoder("");
  #closeReason: string | undefined;
  #cancelHeartbeat: (() => void) | undefined;
  #lastFrameAt = 0;
  #frames = 0;
  #closing = false;
  /** Reading has two brakes: an owner that cannot take more, and our own unsent bytes. */
  #paused = false;
  #full = false;

  constructor(options: WebSocketTransportOptions) {
    this.#options = options;
    const { socket } = options as unknown as { readonly socket: { readonly _socket?: Socket | null } };
    this.#gate = new WriteGate({
      clock: options.clock,
      deadlineMs: options.limits.writeDeadlineMs,
      progress: () => writeProgress(socket._socket),
      expired: () => this.#abort("the reader took nothing for too long"),
    });
  }

  open(receiver: TransportReceiver): void {
    const { socket, clock } = this.#options;
    this.#lastFrameAt = clock.now();
    const alive = (): void => {
      this.#lastFrameAt = clock.now();
      this.#frames += 1;
    };
    socket.on("message", (data, isBinary) => {
      alive();
      if (isBinary) receiver.problem({ kind: "not_text", message: "binary frames are not accepted, send text" });
      else receiver.message((data as Buffer).toString("utf8"));
    });
    socket.on("ping", alive);
    socket.on("pong", alive);
    socket.on("error", (error) => (this.#closeReason ??= error.message));
    socket.on("close", (code, reason) => {
      this.#cancelHeartbeat?.();
      const said = reason.length > 0 ? reason.toString("utf8") : `the other side closed the connection (${code})`;
      const text = this.#closeReason ?? said;
      this.#gate.closed(text);
      receiver.closed(text);
    });
    if (socket.isPaused && !this.#paused) socket.resume(); // connectWebSocket holds back what came before this.
    this.#armHeartbeat();
  }

  send(message: string | EncodedMessage): Promise<void> {
    const { socket, limits } = this.#options;
    if (socket.readyState !== socket.OPEN) {
      return Promise.reject(new Error(this.#closeReason ?? "the connection is closed"));
    }
    // ws has no drain event of its own: the callback tells when a frame has left.
    if (typeof message === "string") {
      socket.send(message, this.#flushed);
    } else {
      const frame = this.#encoder.encode(message);
      socket.send(frame.bytes, { binary: false }, (error) => {
        frame.release();
        this.#flushed(error);
      });
    }
    const full = socket.bufferedAmount > limits.highWaterBytes;
    if (full && limits.pauseReadsWhenFull) {
      this.#full = true;
      socket.pause();
    }
    return this.#gate.wait(full);
  }

  pause(): void {
    this.#paused = true;
    this.#options.socket.pause();
  }

  resume(): void {
    this.#paused = false;
    this.#release();
  }

  close(reason: string): void {
    const { socket, clock } = this.#options;
    if (this.#closing) return;
    this.#closing = true;
    this.#closeReason ??= reason;
    if (socket.readyState === socket.CLOSED) return;
    // ws itself waits 30 s for the closing handshake; a dead peer should not hold a shutdown for that long.
    const cancel = clock.after(2_000, () => socket.terminate());
    socket.once("close", cancel);
    socket.resume(); // Whatever held reading back, the closing handshake must come through.
    socket.close(1000, Buffer.from(reason).subarray(0, 120).toString("utf8"));
  }

  readonly #flushed = (error?: Error | null): void => {
    const { socket, limits } = this.#options;
    if (error instanceof Error || socket.bufferedAmount > limits.highWaterBytes) return;
    this.#gate.opened();
    if (!this.#full) return;
    this.#full = false;
    this.#release();
  };

  #release(): void {
    if (this.#paused || this.#full) return;
    this.#lastFrameAt = this.#options.clock.now(); // Nothing could arrive meanwhile; that says nothing about the peer.
    this.#options.socket.resume();
  }

  #abort(reason: string): void {
    this.#closeReason ??= reason;
    this.#options.socket.terminate();
  }

  /** Whether the other side is still there, asked at once: it is given up unless a frame comes within so long. */
  probe(withinMs: number): void {
    const { socket, clock } = this.#options;
    if (socket.readyState !== socket.OPEN) return;
    const before = this.#frames;
    socket.ping();
    const cancel = clock.after(withinMs, () => {
      socket.off("close", cancel);
      if (this.#frames === before && !this.#paused && !this.#full) {
        this.#abort(`no frame within ${Math.round(withinMs / 1000)} s of asking for one`);
      }
    });
    socket.once("close", cancel);
  }

  #armHeartbeat(): void {
    const { socket, clock, pingIntervalMs, deadAfterMs, onTick } = this.#options;
    if (pingIntervalMs === 0) return;
    const quietMs = clock.now() - this.#lastFrameAt;
    // While it is silent: every interval a ping, and the end exactly when it is due.
    const nextMs =
      quietMs < pingIntervalMs ? pingIntervalMs - quietMs : Math.min(pingIntervalMs, deadAfterMs - quietMs);
    this.#cancelHeartbeat = clock.after(Math.max(nextMs, 1), () => {
      onTick?.();
      if (this.#paused || this.#full) this.#lastFrameAt = clock.now();
      const silentMs = clock.now() - this.#lastFrameAt;
      if (silentMs >= deadAfterMs) {
        this.#abort(`no frame for ${Math.round(silentMs / 1000)} s`);
        return;
      }
      if (silentMs >= pingIntervalMs && socket.readyState === socket.OPEN) socket.ping();
      this.#armHeartbeat();
    });
  }
}
