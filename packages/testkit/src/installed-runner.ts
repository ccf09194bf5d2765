/**
 * `hl-runner serve` as systemd runs it for a user: beside the daemon, and outliving it. A daemon is pointed at it by `config`.
 */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { repositoryRoot, temporaryFolder } from "./programs.ts";

const user = "tester";

export class InstalledRunner implements AsyncDisposable {
  readonly folder: string;
  readonly #folder: Disposable;
  #child: ChildProcess;

  private constructor(folder: ReturnType<typeof temporaryFolder>, child: ChildProcess) {
    this.#folder = folder;
    this.folder = folder.path;
    this.#child = child;
  }

  static async start(): Promise<InstalledRunner> {
    const folder = temporaryFolder("hl-installed");
    for (const name of ["run", "state"]) mkdirSync(join(folder.path, name));
    return new InstalledRunner(folder, await serve(folder.path));
  }

  /** For `process_management`. */
  get config(): object {
    return {
      runner_directory: join(this.folder, "run"),
      runner_state_directory: join(this.folder, "state"),
      default_user: user,
    };
  }

  get stateDirectory(): string {
    return join(this.folder, "state", user);
  }

  /** kill -9; the shims go on. */
  async kill(): Promise<void> {
    this.#child.kill("SIGKILL");
    if (this.#child.signalCode === null && this.#child.exitCode === null) await once(this.#child, "exit");
  }

  /** A new resident beside the shims of the old one. */
  async restart(): Promise<void> {
    await this.kill();
    this.#child = await serve(this.folder);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
    this.#folder[Symbol.dispose]();
  }
}

async function serve(folder: string): Promise<ChildProcess> {
  const binary = join(repositoryRoot, "native/hl-runner/build/hl-runner");
  const paths = ["--socket", join(folder, "run", `${user}.sock`), "--state", join(folder, "state", user)];
  const child = spawn(binary, ["serve", ...paths], { stdio: ["ignore", "pipe", "inherit"], env: {} });
  const failed = once(child, "exit").then(([code]) => {
    throw new Error(`hl-runner serve ended with ${String(code)} before it was ready`);
  });
  failed.catch(() => {}); // Its later end is no failure.
  await Promise.race([once(child.stdout, "data"), failed]);
  return child;
}
