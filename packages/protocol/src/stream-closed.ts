/**
 * Sent by hl-cloud in place of further notifications of a request: the stream was cut short on the way. The reader asks
 * again from the last position it has, or for the request's answer; the VM goes on with its work. The daemon sends it where the
 * `authorization` that a stream was asked for with has expired (`expired`), and where it can no longer read what it was asked for (`failed`).
 */
export const streamClosedMethod = "stream/closed";

export type StreamCutReason = "reader_too_slow" | "vm_disconnected" | "expired" | "failed";
