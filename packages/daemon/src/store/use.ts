export interface Use {
  readonly events: number;
  readonly bytes: number;
}

export const nothing: Use = { events: 0, bytes: 0 };
export const plus = (a: Use, b: Use): Use => ({ events: a.events + b.events, bytes: a.bytes + b.bytes });
export const minus = (a: Use, b: Use): Use => ({ events: a.events - b.events, bytes: a.bytes - b.bytes });
