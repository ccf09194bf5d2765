import { randomUUID } from "node:crypto";
import { Agent } from "node:http";
import { Agent as SecureAgent } from "node:https";
import { WebSocket } from "ws";
import { callTimeoutMs, post, secondsIn, sleep, type Reply } from "./http-call.ts";

/**
 * One simulated daemon, true to the protocol and to the daemon's own policy of reconnecting (ADR 17), without what a VM does. It holds the
 * two connections that a daemon holds: the command channel, and one for everything that goes over HTTP.
 * States: unknown → registered → connecting → connected → lost → waiting → connecting.
 */
export interface FakeVmOptions {
  readonly url: string;
  /** Of an https server, in PEM. */
  readonly ca: string | undefined;
  readonly instanceId: string;
  /** Called at each attempt to connect. */
  readonly onAttempt: () => void;
  /** Called with the status of each refusal, 0 where nobody answered. */
  readonly onRefused: (status: number) => void;
}

/**
 * The windows of the daemon, in milliseconds: after a loss it tries at a random moment of the first, then of the next, which begins
 * when the one before is over; so a fleet that failed at once does not gather where the windows begin.
 */
const windowsMs = [10_000, 20_000, 40_000, 60_000];
/** A connection that lived for so long begins with the first window again. */
const healthyMs = 60_000;
/** Between one refused registration and the next, where the server does not say how long. */
const registerAgainMs = 1_000;

export class FakeVm {
  readonly #options: FakeVmOptions;
  readonly #agent: Agent;
  readonly #epoch = randomUUID();
  readonly #bootId = randomUUID();
  #accessToken = "";
  #registrationId = "";
  #socket: WebSocket | undefined;
  #connected = false;
  #stopped = false;
  #seq = 0;
  #executed = 0;
  /** Said by the server that is about to stop. */
  #spreadMs: number | undefined;
  #heartbeatTimer: NodeJS.Timeout | undefined;

  constructor(options: FakeVmOptions) {
    this.#options = options;
    const { url, ca } = options;
    const kept = { keepAlive: true, maxSockets: 1 };
    // As the daemon has it, no session is resumed.
    const secure = { ...kept, ca, maxCachedSessions: 0 };
    this.#agent = url.startsWith("https:") ? new SecureAgent(secure) : new Agent(kept);
  }

  get connected(): boolean {
    return this.#connected;
  }

  /** Commands that this VM was asked to run. */
  get executed(): number {
    return this.#executed;
  }

  /** Milliseconds of the attempt that succeeded; refused ones are repeated as the server asks. */
  async register(enrollment: string): Promise<number> {
    const params = {
      instance_id: this.#options.instanceId,
      workspace_id: "bench",
      capabilities: ["command", "claude", "file"],
      system_info: { os: "linux", arch: "x64", memory: 4096, cpu_cores: 4, disk_space: 100_000 },
      daemon_version: "0.1.0",
      epoch: this.#epoch,
    };
    for (;;) {
      const startedAt = performance.now();
      const reply = await this.#post("/v1/vm/register", enrollment, envelope("vm/register", params));
      if (reply.status === 200) {
        const { result } = JSON.parse(reply.text) as { result: { access_token: string; registration_id: string } };
        this.#accessToken = result.access_token;
        this.#registrationId = result.registration_id;
        return performance.now() - startedAt;
      }
      this.#options.onRefused(reply.status);
      if (reply.status < 500 && reply.status !== 429 && reply.status !== 0) throw new Error(reply.text);
      const asked = reply.retryAfterMs ?? registerAgainMs;
      await sleep(asked * (1 + Math.random() / 2));
    }
  }

  /** Connects and stays connected until it is stopped; resolves with the milliseconds of the first attempt that succeeded. */
  stayConnected(): Promise<number> {
    const first = Promise.withResolvers<number>();
    void this.#keep(first.resolve);
    return first.promise;
  }

  /** Milliseconds of one heartbeat; NaN when it failed. */
  async heartbeat(): Promise<number> {
    const figures = { status: "healthy", uptime: 1, spool_depth: 0, commands_running: 0, agents_running: 0 };
    const params = {
      registration_id: this.#registrationId,
      ...figures,
      memory_rss_mb: 70,
      clock: Date.now() / 1000,
    };
    const startedAt = performance.now();
    const reply = await this.#post("/v1/vm/heartbeat", this.#accessToken, envelope("vm/heartbeat", params));
    return reply.status === 200 ? performance.now() - startedAt : Number.NaN;
  }

  /** Beats every `intervalMs` ± 10 %, the first after a random part of it, and reports each. */
  beat(intervalMs: number, onBeat: (ms: number) => void): void {
    const next = (inMs: number): void => {
      this.#heartbeatTimer = setTimeout(() => {
        void this.heartbeat().then((ms) => {
          onBeat(ms);
          if (this.#heartbeatTimer !== undefined) next(intervalMs * (0.9 + Math.random() * 0.2));
        });
      }, inMs);
    };
    next(Math.random() * intervalMs);
  }

  stopBeating(): void {
    clearTimeout(this.#heartbeatTimer);
    this.#heartbeatTimer = undefined;
  }

  /** Milliseconds until one batch of events was accepted whole; refused, or on a connection that had closed, it is sent again. */
  async sendEvents(count: number): Promise<number> {
    const batch = Array.from({ length: count }, () => {
      const seq = ++this.#seq;
      const event = {
        event_id: `${this.#options.instanceId}-${seq}`,
        event_type: "bench.sample",
        timestamp: Date.now() / 1000,
        data: { text: "a hundred bytes or so, as an ordinary event has them, with a number", number: seq },
      };
      return envelope("event/stream", { epoch: this.#epoch, seq, ...event }, seq);
    });
    const startedAt = performance.now();
    for (;;) {
      const reply = await this.#post("/v1/vm/events", this.#accessToken, `[${batch.join(",")}]`);
      const { status, text, retryAfterMs = 0 } = reply;
      if (status === 200 && text.split('"accepted"').length - 1 === count) return performance.now() - startedAt;
      if (status !== 0 && status !== 429 && status !== 503) throw new Error(`${status}: ${text.slice(0, 300)}`);
      this.#options.onRefused(status);
      await sleep(retryAfterMs);
    }
  }

  stop(): void {
    this.#stopped = true;
    this.stopBeating();
    this.#socket?.terminate();
    this.#agent.destroy();
  }

  async #keep(onFirst: (ms: number) => void): Promise<void> {
    let failures = 0;
    let windowEndsAt = performance.now();
    while (!this.#stopped) {
      this.#options.onAttempt();
      const startedAt = performance.now();
      const outcome = await this.#connect();
      let retryAfterMs: number | undefined;
      if ("closed" in outcome) {
        onFirst(performance.now() - startedAt);
        const connectedAt = performance.now();
        this.#spreadMs = undefined;
        await outcome.closed;
        this.#connected = false;
        windowEndsAt = performance.now();
        if (windowEndsAt - connectedAt >= healthyMs) failures = 0;
        if (this.#spreadMs !== undefined) {
          await sleep(this.#spreadMs * Math.random());
          windowEndsAt = performance.now();
          continue;
        }
      } else {
        this.#options.onRefused(outcome.status);
        ({ retryAfterMs } = outcome);
      }
      const now = performance.now();
      if (retryAfterMs !== undefined) {
        await sleep(retryAfterMs * (1 + Math.random() / 2));
        windowEndsAt = performance.now();
        continue;
      }
      const windowMs = windowsMs[Math.min(failures, windowsMs.length - 1)]!;
      failures += 1;
      const beginsAt = Math.max(now, windowEndsAt);
      windowEndsAt = beginsAt + windowMs;
      await sleep(beginsAt - now + windowMs * Math.random());
    }
  }

  /** One attempt: the upgrade, and vm/hello answered. */
  #connect(): Promise<Attempt> {
    const { promise, resolve } = Promise.withResolvers<Attempt>();
    const socket = new WebSocket(`${this.#options.url.replace(/^http/, "ws")}/v1/vm/commands`, "hl.v1", {
      headers: { authorization: `Bearer ${this.#accessToken}` },
      perMessageDeflate: false,
      ca: this.#options.ca,
      handshakeTimeout: callTimeoutMs,
    });
    this.#socket = socket;
    const closed = new Promise<void>((resolveClosed) => {
      socket.once("close", () => {
        resolve({ status: 0, retryAfterMs: undefined });
        resolveClosed();
      });
    });
    socket.on("error", () => {}); // `close` follows.
    socket.on("unexpected-response", (_request, response) => {
      resolve({ status: response.statusCode ?? 0, retryAfterMs: secondsIn(response.headers["retry-after"]) });
      response.resume();
      socket.terminate();
    });
    socket.on("open", () => {
      const params = {
        registration_id: this.#registrationId,
        daemon_version: "0.1.0",
        protocol_version: "1.0",
        boot_id: this.#bootId,
        epoch: this.#epoch,
        running: [],
        unacked_results: [],
      };
      socket.send(envelope("vm/hello", params, "hello"));
    });
    socket.on("message", (data) => {
      const message = JSON.parse((data as Buffer).toString("utf8")) as Message;
      if (message.method === "vm/drain") this.#spreadMs = (message.params?.spread_seconds ?? 0) * 1000;
      else if (message.method !== undefined) {
        if (message.id !== undefined) socket.send(this.#answer(message));
      } else if (message.id === "hello" && message.result !== undefined) {
        this.#connected = true;
        resolve({ closed });
      }
    });
    return promise;
  }

  #answer({ id, method, params }: Message): string {
    if (method !== "command/execute") {
      const error = { code: -32601, message: `no method ${String(method)} in a simulated VM` };
      return JSON.stringify({ jsonrpc: "2.0", id, error, timestamp: Date.now() / 1000 });
    }
    this.#executed += 1;
    const now = Date.now() / 1000;
    const result = {
      command_id: params?.command_id ?? randomUUID(),
      status: "completed",
      reason: "exited",
      exit_code: 0,
      signal: null,
      stdout: "",
      stderr: "",
      stdout_bytes: 0,
      stderr_bytes: 0,
      stdout_truncated: false,
      stderr_truncated: false,
      pipes_still_open: false,
      execution_time: 0.002,
      started_at: now,
      ended_at: now,
      resource_usage: { cpu_time: 1, memory_peak: 1 },
    };
    return JSON.stringify({ jsonrpc: "2.0", id, result, timestamp: now });
  }

  #post(path: string, token: string, body: string): Promise<Reply> {
    return post(`${this.#options.url}${path}`, token, body, this.#agent);
  }
}

/** Connected until `closed` resolves, or refused; status 0 where nobody answered. */
type Attempt =
  { readonly closed: Promise<void> } | { readonly status: number; readonly retryAfterMs: number | undefined };

interface Message {
  readonly id?: string | number;
  readonly method?: string;
  readonly params?: { readonly command_id?: string; readonly spread_seconds?: number };
  readonly result?: unknown;
}

function envelope(method: string, params: object, id: string | number = 1): string {
  return JSON.stringify({ jsonrpc: "2.0", id, method, params, timestamp: Date.now() / 1000 });
}
