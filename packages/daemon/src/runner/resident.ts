import { spawn } from "node:child_process";

/**
 * In development the daemon starts `hl-runner serve` itself; under systemd hl-runner@USER.service does. This is the only
 * process that the daemon ever starts. It ends by itself when the daemon is gone (its pipe reaches EOF), its shims do not (P3).
 */
export class Resident implements AsyncDisposable {
  readonly #child: ReturnType<typeof spawn>;
  readonly #exited: Promise<string>;

  private constructor(child: ReturnType<typeof spawn>) {
    this.#child = child;
    this.#exited = new Promise((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? `code ${code}`));
    });
  }

  static async start(binary: string, socketPath: string, stateDirectory: string): Promise<Resident> {
    const child = spawn(binary, ["serve", "--socket", socketPath, "--state", stateDirectory, "--exit-with-fd", "3"], {
      stdio: ["ignore", "pipe", "pipe", "pipe"],
      env: {},
      detached: true, // A Ctrl-C in the terminal is for the daemon, which then stops things in order.
    });
    const resident = new Resident(child);
    let stderr = "";
    child.stderr?.on("data", (chunk: Buffer) => (stderr = (stderr + chunk.toString("utf8")).slice(-2048)));
    await new Promise<void>((resolve, reject) => {
      child.once("error", reject);
      child.once("exit", (code) => reject(new Error(`hl-runner ended with ${code}: ${stderr.trim()}`)));
      child.stdout?.once("data", () => resolve());
    });
    return resident;
  }

  /** Resolves with the signal or the exit code that ended it. */
  get exited(): Promise<string> {
    return this.#exited;
  }

  get pid(): number {
    return this.#child.pid ?? 0;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill("SIGTERM");
    await this.#exited;
  }
}
