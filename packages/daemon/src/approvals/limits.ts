export interface ApprovalLimits {
  /** Approvals that wait at once; one more is denied. */
  readonly openMax: number;
  /** Size of all that wait, as JSON. */
  readonly openBytesMax: number;
  /** A larger one cannot be shown to anybody, and is denied. */
  readonly approvalBytesMax: number;
  /** Of those that are over. */
  readonly keptMax: number;
  readonly keptBytesMax: number;
  readonly keptMs: number;
}

export const defaultApprovalLimits: ApprovalLimits = {
  openMax: 1_000,
  openBytesMax: 32 * 1024 * 1024,
  approvalBytesMax: 1024 * 1024,
  keptMax: 1_000,
  keptBytesMax: 64 * 1024 * 1024,
  keptMs: 30 * 86_400_000,
};

/** Why a request cannot be put to anybody; undefined where it can. */
export function refusalOf(bytes: number, limits: ApprovalLimits, open: number, openBytes: number): string | undefined {
  if (bytes > limits.approvalBytesMax) {
    return `The request has ${bytes} bytes, ${limits.approvalBytesMax} can be shown to a person.`;
  }
  if (open >= limits.openMax) return `${open} permission requests are open already.`;
  if (openBytes + bytes > limits.openBytesMax) return `Permission requests of ${openBytes} bytes are open already.`;
  return undefined;
}
