/** Who starts processes says so to whoever keeps the secrets of their environments out of events (X4). */
export interface SecretHolder {
  /** Throws where there is no room for them. */
  hold(owner: string, environment: Readonly<Record<string, string>>): void;
  /**
   * The same for a process that an earlier life of the daemon has started, as far as the kernel knows its environment. Answers whether that
   * was possible; never throws.
   */
  holdRunning(owner: string, pid: number): boolean;
  release(owner: string): void;
  /** The names of the variables that are secret. */
  namesIn?(environment: Readonly<Record<string, string>>): string[];
  /** The variables that a process began its present program with; undefined where they cannot be read. */
  environmentOf?(pid: number): Record<string, string> | undefined;
}
