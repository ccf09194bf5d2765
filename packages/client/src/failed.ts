/** A failure whose exit code the verb decides itself; the cause is what is told. */
export class Failed extends Error {
  override readonly name = "Failed";
  override readonly cause: unknown;
  readonly exitCode: number;

  constructor(cause: unknown, exitCode: number) {
    super("failed", { cause });
    this.cause = cause;
    this.exitCode = exitCode;
  }
}
