import type { Call, RequestHandler } from "@hl/core/rpc/answer.ts";
import type { RequestMessage } from "@hl/core/rpc/message.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Inbox } from "../store/inbox.ts";

type Answer = { readonly result: unknown } | { readonly error: { code: number; message: string; data?: unknown } };

/**
 * Makes redelivery safe: a request of the cloud that is not idempotent by itself is recorded before it begins, its answer
 * before it is sent, and the same request again gets that answer (C1, C2). While it still runs the second asks joins the first.
 */
export class InboxHandler implements RequestHandler {
  readonly #inner: RequestHandler;
  readonly #inbox: Inbox;
  readonly #isIdempotent: (method: string) => boolean;
  readonly #running = new Map<string, Promise<Answer>>();

  constructor(inner: RequestHandler, inbox: Inbox, isIdempotent: (method: string) => boolean) {
    this.#inner = inner;
    this.#inbox = inbox;
    this.#isIdempotent = isIdempotent;
  }

  async request(message: RequestMessage, call: Call): Promise<unknown> {
    const id = message.id;
    if (typeof id !== "string" || this.#isIdempotent(message.method)) return this.#inner.request(message, call);
    const answer = await (this.#running.get(id) ?? this.#once(id, message, call));
    if ("result" in answer) return answer.result;
    throw new KnownWireError(answer.error);
  }

  describe(error: unknown, id: RequestMessage["id"]): ReturnType<RequestHandler["describe"]> {
    if (error instanceof KnownWireError) return error.wire as ReturnType<RequestHandler["describe"]>;
    return this.#inner.describe(error, id);
  }

  #once(id: string, message: RequestMessage, call: Call): Promise<Answer> {
    const work = this.#receive(id, message, call).finally(() => this.#running.delete(id));
    this.#running.set(id, work);
    return work;
  }

  async #receive(id: string, message: RequestMessage, call: Call): Promise<Answer> {
    const known = await this.#inbox.receive(id, message.method);
    if (typeof known === "object") return JSON.parse(known.answer) as Answer;
    if (known === "unanswered") {
      const text = `${message.method} was under way when the daemon restarted; whether it had an effect is not known`;
      return { error: this.#inner.describe(new HlError("outcome_unknown", text, { request_id: id }), id) };
    }
    // The work goes on when the connection is lost: its answer is for the next one.
    const detached: Call = {
      id: call.id,
      signal: new AbortController().signal,
      canNotify: call.canNotify,
      notify: (method, params) => call.notify(method, params),
      notifyBytes: (method, params, member) => call.notifyBytes(method, params, member),
      stream: (producer) => call.stream(producer),
    };
    let refusal: HlError | undefined;
    const answer: Answer = await this.#inner.request(message, detached).then(
      (result) => ({ result }),
      (error: unknown) => {
        if (error instanceof HlError && error.type === "shutting_down") refusal = error;
        return { error: this.#inner.describe(error, id) };
      },
    );
    // The cloud keeps what a daemon refuses because it stops, and asks the next one: a recorded refusal would be its answer
    // for ever. What had begun stays unanswered, so that the next daemon says that its outcome is not known.
    if (refusal === undefined) await this.#inbox.answer(id, JSON.stringify(answer));
    else if (refusal.facts["begun"] !== true) await this.#inbox.forget(id);
    return answer;
  }
}

class KnownWireError extends Error {
  readonly wire: { code: number; message: string; data?: unknown };

  constructor(wire: { code: number; message: string; data?: unknown }) {
    super(wire.message);
    this.wire = wire;
  }
}
