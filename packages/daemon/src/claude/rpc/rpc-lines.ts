/**
 * JSON-RPC 2.0 with an agent, one message a line: what it says is told apart here, and what we ask is matched to its answer by an id of
 * ours. Each side has its own ids, so a request and an answer with the same one have nothing to do with each other.
 */
import type { Clock } from "@hl/core/clock.ts";
import { LineSplitter } from "@hl/core/rpc/line-splitter.ts";
import { AgentFailure } from "../agent.ts";

export type RpcId = string | number | null;

export interface RpcError {
  readonly code: number;
  readonly message: string;
  readonly data?: unknown;
}

/** What a request was answered with; an error of the agent is an answer. */
export type RpcAnswer = { readonly result: unknown } | { readonly error: RpcError };

export interface RpcLinesOptions {
  readonly write: (line: string) => void | Promise<void>;
  readonly clock: Clock;
  readonly newId: () => string;
  readonly lineBytesMax: number;
  readonly onRequest: (id: RpcId, method: string, params: unknown, raw: unknown) => void;
  readonly onNotification: (method: string, params: unknown, raw: unknown) => void;
  /** An answer to what was not asked here. */
  readonly onAnswer: (id: RpcId, answer: RpcAnswer, raw: unknown) => void;
  /** A JSON object that is no message. */
  readonly onUnknown: (raw: unknown) => void;
  /** A line that is no JSON object: programs print to stdout what they should not. */
  readonly onText: (text: string) => void;
  readonly onSkipped: (bytes: number) => void;
}

export class RpcLines {
  readonly #options: RpcLinesOptions;
  readonly #lines: LineSplitter;
  readonly #asked = new Map<string, PromiseWithResolvers<RpcAnswer>>();
  #closed: AgentFailure | undefined;
  #afterGap = false;

  constructor(options: RpcLinesOptions) {
    this.#options = options;
    const { lineBytesMax, onSkipped } = options;
    this.#lines = new LineSplitter({
      lineBytesMax,
      onSkipped,
      onLine: (bytes) => this.#onLine(bytes.toString("utf8")),
    });
  }

  receive(chunk: Uint8Array): void {
    this.#lines.push(chunk);
  }

  /** Bytes are missing before the next ones. */
  lost(): void {
    this.#lines.drop();
    this.#afterGap = true;
  }

  /**
   * Without a time limit it waits as long as the process lives. Rejects with `timeout` or `exited`.
   * An answer that comes later is handed to `onAnswer`.
   */
  async ask(method: string, params: unknown, timeoutMs: number | undefined): Promise<RpcAnswer> {
    if (this.#closed) throw this.#closed;
    const id = this.#options.newId();
    const asked = Promise.withResolvers<RpcAnswer>();
    this.#asked.set(id, asked);
    const late = new AgentFailure("timeout", `The agent has not answered "${method}" within ${timeoutMs} ms.`);
    const cancelTimer =
      timeoutMs === undefined ? undefined : this.#options.clock.after(timeoutMs, () => asked.reject(late));
    this.#send({ jsonrpc: "2.0", id, method, params }).catch((cause: unknown) => {
      const text = `The agent's standard input cannot be written: ${String(cause)}`;
      asked.reject(new AgentFailure("exited", text, { sent: false }, cause));
    });
    try {
      return await asked.promise;
    } finally {
      cancelTimer?.();
      this.#asked.delete(id);
    }
  }

  /** Rejects when it cannot be written. */
  async notify(method: string, params: unknown): Promise<void> {
    await this.#send({ jsonrpc: "2.0", method, params });
  }

  /** Answers a request of the agent. Rejects when it cannot be written, also where it is not JSON. */
  async respond(id: RpcId, answer: RpcAnswer): Promise<void> {
    await this.#send({ jsonrpc: "2.0", id, ...answer });
  }

  /** The rest of the output is a line as well. */
  end(): void {
    this.#lines.end();
  }

  close(failure: AgentFailure): void {
    this.#closed = failure;
    for (const asked of this.#asked.values()) asked.reject(failure);
  }

  async #send(message: object): Promise<void> {
    if (this.#closed) throw this.#closed;
    await this.#options.write(`${JSON.stringify(message)}\n`);
  }

  #onLine(line: string): void {
    if (line.trim() === "") return;
    const rest = this.#afterGap; // Maybe of a line whose beginning is missing.
    this.#afterGap = false;
    let raw: unknown;
    try {
      raw = JSON.parse(line);
    } catch {
      raw = undefined;
    }
    if (isObject(raw)) this.#onMessage(raw);
    else if (!rest) this.#options.onText(line);
  }

  #onMessage(raw: Readonly<Record<string, unknown>>): void {
    const { id, method, params } = raw;
    const validId = id === null || typeof id === "string" || typeof id === "number";
    if (typeof method === "string") {
      if (validId) this.#options.onRequest(id, method, params, raw);
      else this.#options.onNotification(method, params, raw);
      return;
    }
    const answer = answerOf(raw);
    if (!validId || answer === undefined) {
      this.#options.onUnknown(raw);
      return;
    }
    const asked = typeof id === "string" ? this.#asked.get(id) : undefined;
    if (asked) asked.resolve(answer);
    else this.#options.onAnswer(id, answer, raw);
  }
}

export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function answerOf(raw: Readonly<Record<string, unknown>>): RpcAnswer | undefined {
  if ("error" in raw && raw["error"] !== null) return { error: errorOf(raw["error"]) };
  return "result" in raw ? { result: raw["result"] } : undefined;
}

/** Whatever an agent takes for an error is one. */
function errorOf(raw: unknown): RpcError {
  if (!isObject(raw)) return { code: -32603, message: JSON.stringify(raw) };
  const { code, message } = raw;
  return {
    ...raw,
    code: typeof code === "number" ? code : -32603,
    message: typeof message === "string" ? message : "The agent gave no message.",
  };
}
