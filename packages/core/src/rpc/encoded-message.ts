import type { MessageId } from "./message.ts";

/**
 * A message that is encoded already: every character of its parts is one byte of its UTF-8, so a transport only copies them.
 * A stream of output would spend most of its time on text that is made for nobody to read.
 */
export interface EncodedMessage {
  readonly parts: readonly string[];
  readonly byteLength: number;
}

/** One member of a notification's parameters, given as bytes. */
export interface BytesMember {
  readonly name: string;
  /** Read before the call returns: the memory may be used again afterwards. */
  readonly bytes: Buffer;
  /** With `utf8` the bytes have to be valid UTF-8. */
  readonly encoding: "utf8" | "base64";
}

export function encodeBytesNotification(
  method: string,
  params: object,
  member: BytesMember,
  wallMs: number,
  requestId?: MessageId,
): EncodedMessage {
  const head = JSON.stringify({ jsonrpc: "2.0", method, request_id: requestId, timestamp: wallMs / 1000, params });
  const open = head.slice(0, -2); // Without the two braces that close the parameters and the message.
  const separator = open.endsWith("{") ? "" : ",";
  const parts = [
    bytesAsCharacters(`${open}${separator}${JSON.stringify(member.name)}:`),
    ...(member.encoding === "base64"
      ? ['"', member.bytes.toString("base64"), '"']
      : // What JSON escapes is ASCII, and no byte of another character looks like it: bytes can be escaped as if they were Latin-1.
        [JSON.stringify(member.bytes.toString("latin1"))]),
    "}}",
  ];
  return { parts, byteLength: parts.reduce((bytes, part) => bytes + part.length, 0) };
}

export function textOf({ parts }: EncodedMessage): string {
  return Buffer.from(parts.join(""), "latin1").toString("utf8");
}

function bytesAsCharacters(text: string): string {
  return Buffer.from(text).toString("latin1");
}
