/**
 * Reads along one connection of the daemon and counts the events that the cloud took, each time it took them: what the cloud has
 * less than that, it has removed as duplicates. It changes nothing; what it does not understand, it lets be.
 */
import { gunzipSync } from "node:zlib";

const headEnd = Buffer.from("\r\n\r\n");

interface Awaited {
  readonly isEvents: boolean;
  readonly isGzip: boolean;
  bytesLeft: number;
  readonly parts: Buffer[];
}

export class UplinkTap {
  readonly #onCopies: (count: number) => void;
  #buffered = Buffer.alloc(0);
  #body: Awaited | undefined;
  /** The batch that the cloud has whole and has not answered. */
  #unanswered: Awaited | undefined;
  /** A WebSocket, or a body of unknown length. */
  #blind = false;

  /** @param onCopies told how many events a batch had, once the cloud has said 200 to it */
  constructor(onCopies: (count: number) => void) {
    this.#onCopies = onCopies;
  }

  /** Bytes that went on to the cloud. */
  sent(chunk: Buffer): void {
    let rest = chunk;
    while (!this.#blind && rest.length > 0) {
      if (this.#body === undefined) {
        this.#buffered = Buffer.concat([this.#buffered, rest]);
        const end = this.#buffered.indexOf(headEnd);
        if (end === -1) return;
        this.#begin(this.#buffered.subarray(0, end).toString("latin1"));
        rest = this.#buffered.subarray(end + headEnd.length);
        this.#buffered = Buffer.alloc(0);
      }
      rest = this.#take(rest);
    }
  }

  /** Bytes that came from the cloud. */
  answered(chunk: Buffer): void {
    const batch = this.#unanswered;
    this.#unanswered = undefined;
    if (batch === undefined || !chunk.subarray(0, 12).toString("latin1").startsWith("HTTP/1.1 200")) return;
    const bytes = Buffer.concat(batch.parts);
    const text = (batch.isGzip ? gunzipSync(bytes) : bytes).toString("utf8");
    const messages = JSON.parse(text) as { params?: { event_type?: string } }[];
    this.#onCopies(messages.filter(({ params }) => params?.event_type === "oracle.event").length);
  }

  #begin(head: string): void {
    // A poll has no body.
    const none = /^(?:GET|DELETE) /.test(head) && !/^(?:upgrade|transfer-encoding):/im.test(head) ? "0" : undefined;
    const length = /^content-length: *(\d+)/im.exec(head)?.[1] ?? none;
    const isEvents = head.startsWith("POST /v1/vm/events");
    this.#blind = length === undefined;
    this.#body = { isEvents, isGzip: /^content-encoding: *gzip/im.test(head), bytesLeft: Number(length), parts: [] };
  }

  #take(chunk: Buffer): Buffer {
    const body = this.#body;
    if (body === undefined || this.#blind) return chunk;
    const mine = chunk.subarray(0, body.bytesLeft);
    body.bytesLeft -= mine.length;
    if (body.isEvents) body.parts.push(mine);
    if (body.bytesLeft === 0) {
      this.#body = undefined;
      this.#unanswered = body.isEvents ? body : undefined;
    }
    return chunk.subarray(mine.length);
  }
}
