/** What an agent said, before it has a number. */
export interface Said {
  readonly type: string;
  readonly sessionId: string;
  readonly relayId?: string | undefined;
  readonly data: unknown;
  /** Of the turn that has ended with it. */
  readonly turn?: number | undefined;
}
