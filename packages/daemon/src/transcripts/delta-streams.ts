import type { Said } from "./said.ts";

/** A text in pieces on its way out, without its secrets. */
export interface TextStream {
  /** What may go out by now. */
  push(text: string): string;
  /** What is left when nothing follows. */
  end(): string;
}

interface Open {
  readonly said: Said;
  readonly stream: TextStream;
}

/** Of the agent and of each of its subagents two: what it says and what it thinks. One more ends the oldest. */
const openMax = 32;
const endsAll: ReadonlySet<string> = new Set(["turn_completed", "exited", "ended", "ready"]);

/**
 * The texts that an agent tells in pieces, each searched for secrets as one text (X4), since a secret may be split over pieces, with pieces of
 * others between. A text ends with its finished message, or with the turn.
 */
export class DeltaStreams {
  readonly #newStream: () => TextStream;
  readonly #open = new Map<string, Open>();

  constructor(newStream: () => TextStream) {
    this.#newStream = newStream;
  }

  /** What may be told now; nothing where all of it may be the beginning of a secret. */
  push(said: Said): Said[] {
    const { text, ...of } = said.data as { readonly text?: unknown };
    if (typeof text !== "string") return [said];
    const key = JSON.stringify([said.sessionId, said.relayId, of]);
    const ended = this.#open.has(key) ? [] : this.#makeRoom();
    const stream = this.#open.get(key)?.stream ?? this.#newStream();
    this.#open.set(key, { said, stream });
    return [...ended, ...pieceOf(said, stream.push(text))];
  }

  /** The rests of those that end with this. */
  endedBy({ type, data }: Said): Said[] {
    if (this.#open.size === 0 || (type !== "message" && !endsAll.has(type))) return [];
    const by = subagentOf(data);
    const ended = [...this.#open].filter(([, { said }]) => type !== "message" || subagentOf(said.data) === by);
    return ended.flatMap(([key, one]) => this.#end(key, one));
  }

  #makeRoom(): Said[] {
    const [oldest] = this.#open;
    return this.#open.size < openMax || oldest === undefined ? [] : this.#end(...oldest);
  }

  #end(key: string, { said, stream }: Open): Said[] {
    this.#open.delete(key);
    return pieceOf(said, stream.end());
  }
}

function pieceOf(said: Said, text: string): Said[] {
  return text === "" ? [] : [{ ...said, data: { ...(said.data as object), text } }];
}

function subagentOf(data: unknown): unknown {
  return (data as { readonly subagent_of?: unknown }).subagent_of;
}
