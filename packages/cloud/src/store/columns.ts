/** SQLite's null and our "missing" meet only here. */
export function optional<T>(value: T | null): T | undefined {
  return value ?? undefined;
}

export function json(value: unknown): string {
  return JSON.stringify(value ?? null);
}

export function parsed(text: string | null): unknown {
  return text === null ? undefined : JSON.parse(text);
}
