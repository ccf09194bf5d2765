import type { CommandOutput } from "@hl/protocol/methods/command-result.ts";

/** Remembers how far a stream has come, as the request that goes on from there. */
export interface StreamPosition {
  /** Looks at a notification that will be delivered. */
  note(method: string, params: unknown): void;
  /** Undefined when this stream cannot be taken up again. */
  next(): { readonly method: string; readonly params: Readonly<Record<string, unknown>> } | undefined;
}

export function streamPosition(method: string, params: unknown): StreamPosition {
  const asked = (params ?? {}) as Readonly<Record<string, unknown>>;
  switch (method) {
    case "event/subscribe":
      return new EventPosition(asked);
    case "claude/subscribe":
      return new AgentPosition(asked);
    case "file/watch":
    case "approval/subscribe":
      return noPosition;
    default:
      return new CommandPosition(asked);
  }
}

/** What happened meanwhile is kept nowhere, or told again from the start: a reader that is too slow is told so, and begins anew. */
const noPosition: StreamPosition = { note: () => {}, next: () => undefined };

class CommandPosition implements StreamPosition {
  readonly #commandId: unknown;
  readonly #encoding: unknown;
  #offset: number;

  constructor(params: Readonly<Record<string, unknown>>) {
    this.#commandId = params["command_id"];
    this.#encoding = params["output_encoding"];
    this.#offset = typeof params["offset"] === "number" ? params["offset"] : 0;
  }

  note(method: string, params: unknown): void {
    if (method === "command/output") {
      const { position, data, encoding } = params as CommandOutput;
      this.#offset = position + Buffer.byteLength(data, encoding);
    } else if (method === "command/gap") {
      const { position, bytes } = params as { position: number; bytes: number };
      this.#offset = position + bytes;
    }
  }

  next(): ReturnType<StreamPosition["next"]> {
    return {
      method: "command/subscribe",
      params: { command_id: this.#commandId, offset: this.#offset, output_encoding: this.#encoding },
    };
  }
}

/** What is not kept has no number and moves nothing. */
class AgentPosition implements StreamPosition {
  readonly #params: Readonly<Record<string, unknown>>;
  #seq: number | undefined;

  constructor(params: Readonly<Record<string, unknown>>) {
    this.#params = params;
  }

  note(method: string, params: unknown): void {
    if (method === "claude/event") this.#seq = (params as { seq?: number }).seq ?? this.#seq;
    else if (method === "claude/gap") this.#seq = (params as { to: number }).to;
  }

  next(): ReturnType<StreamPosition["next"]> {
    if (this.#seq === undefined && this.#params["from_seq"] === undefined) return undefined;
    const from = this.#seq === undefined ? this.#params["from_seq"] : this.#seq + 1;
    return { method: "claude/subscribe", params: { ...this.#params, from_seq: from } };
  }
}

class EventPosition implements StreamPosition {
  readonly #params: Readonly<Record<string, unknown>>;
  #seq: number | undefined;

  constructor(params: Readonly<Record<string, unknown>>) {
    this.#params = params;
  }

  note(method: string, params: unknown): void {
    if (method === "event/event") this.#seq = (params as { seq: number }).seq;
    else if (method === "event/gap") this.#seq = (params as { to: number }).to;
  }

  next(): ReturnType<StreamPosition["next"]> {
    if (this.#seq === undefined) return undefined;
    return { method: "event/subscribe", params: { ...this.#params, after: this.#seq } };
  }
}
