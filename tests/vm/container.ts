/**
 * A Linux that really booted with systemd as its first process, in a second and at native speed: systemd-nspawn on a throw-away overlay. It has
 * the kernel of this machine and no controllers of control groups; what is about those is tested in the emulated machine.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { rename, rm } from "node:fs/promises";
import { homedir, tmpdir } from "node:os";
import { basename, join } from "node:path";
import { promisify } from "node:util";
import { until, within } from "@hl/testkit/waiting.ts";

const execute = promisify(execFile);

/** Debian 12 with systemd 252, Debian 13 with 257. */
export type Suite = "bookworm" | "trixie";

const packages = "systemd,systemd-sysv,dbus,procps,util-linux,python3-minimal,ca-certificates,openssl,perl-base";
const path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/** It ends by itself when whoever started it could not end it. */
const lifeSecondsMax = 900;
/** A second on a machine with nothing else to do. */
const bootMsMax = 120_000;

export interface ContainerAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** Why none can be booted here; undefined where one can. */
export async function missingForContainer(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "a container is booted as root";
  const tools = { "systemd-nspawn": "systemd-container", mmdebstrap: "mmdebstrap", nsenter: "util-linux" };
  const missing: string[] = [];
  for (const [tool, name] of Object.entries(tools))
    await execute("sh", ["-c", 'command -v "$1"', "sh", tool]).catch(() => missing.push(name));
  if (missing.length > 0) return `apt-get install ${missing.join(" ")}`;
  // A bare Debian, nothing of ours: where that does not boot, it is this machine.
  const empty = mkdtempSync(join(tmpdir(), "hl-empty-"));
  try {
    await using _tried = await Container.boot(empty);
    return undefined;
  } catch (error) {
    return `no container boots on this machine: ${error instanceof Error ? error.message : String(error)}`;
  } finally {
    await rm(empty, { recursive: true, force: true });
  }
}

export class Container implements AsyncDisposable {
  readonly #folder: string;
  readonly #name: string;
  readonly #start: () => ChildProcess;
  #nspawn: ChildProcess;
  #leader = 0;

  private constructor(folder: string, name: string, start: () => ChildProcess) {
    this.#folder = folder;
    this.#name = name;
    this.#start = start;
    this.#nspawn = start();
  }

  /** Resolves when systemd says that it is running. `payload` is at /mnt/payload, read-only. */
  static async boot(payload: string, suite: Suite = "bookworm"): Promise<Container> {
    const base = await ensureTree(suite);
    const folder = mkdtempSync(join(tmpdir(), "hl-nspawn-"));
    const name = basename(folder).toLowerCase();
    for (const part of ["up", "work", "root"]) mkdirSync(join(folder, part));
    const layers = `lowerdir=${base},upperdir=${join(folder, "up")},workdir=${join(folder, "work")}`;
    await execute("mount", ["-t", "overlay", "overlay", "-o", layers, join(folder, "root")]);
    // A control group of its own: what nspawn makes would else lie at the root of the hierarchy.
    const line = `for root in ${cgroupRoots().join(" ")}; do mkdir -p "$root/$1"; echo $$ >"$root/$1/cgroup.procs"; done; name=$1; shift; exec "$@"`;
    const nspawn = [
      ...["timeout", "-k", "5", String(lifeSecondsMax), "systemd-nspawn", "--quiet", "--register=no", "--keep-unit"],
      ...[
        "-M",
        name,
        "-D",
        join(folder, "root"),
        "--private-network",
        "--console=pipe",
        `--bind-ro=${payload}:/mnt/payload`,
      ],
      // What its own filter keeps from everybody inside, and a virtual machine would not.
      "--system-call-filter=landlock_create_ruleset landlock_add_rule landlock_restrict_self seccomp @pkey @keyring bpf",
      ...["--boot", "systemd.show_status=0"],
    ];
    const start = (): ChildProcess =>
      spawn("sh", ["-c", line, "sh", name, ...nspawn], {
        stdio: ["ignore", "ignore", "inherit"],
        env: { PATH: path, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY: "1" },
        detached: true,
      });
    const container = new Container(folder, name, start);
    try {
      await container.#running();
    } catch (error) {
      await container[Symbol.asyncDispose]();
      throw error;
    }
    return container;
  }

  /** Of its first process, as this machine sees it. */
  get leader(): number {
    return this.#leader;
  }

  /** Of a process inside, by the number that it has there. */
  hostPid(pid: string): number {
    const space = readlinkSync(`/proc/${this.#leader}/ns/pid`);
    const isIt = (one: string): boolean => {
      try {
        const numbers = /^NSpid:\t.*\t(\d+)$/m.exec(readFileSync(`/proc/${one}/status`, "utf8"));
        return numbers?.[1] === pid && readlinkSync(`/proc/${one}/ns/pid`) === space;
      } catch {
        return false; // It has ended meanwhile.
      }
    };
    const found = readdirSync("/proc").find((name) => /^\d+$/.test(name) && isIt(name));
    if (found === undefined) throw new Error(`no process ${pid} runs in the container`);
    return Number(found);
  }

  /** Runs lines of shell as root inside. */
  async run(lines: string, msMax = 60_000): Promise<ContainerAnswer> {
    const clean = ["env", "-i", `PATH=${path}`, "HOME=/root", "LANG=C.UTF-8"];
    try {
      const args = ["-t", String(this.#leader), "-a", ...clean, "sh", "-c", lines];
      return { code: 0, ...(await execute("nsenter", args, { timeout: msMax, maxBuffer: 2 ** 24 })) };
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== "number") throw new Error(`${lines}: not ended within ${msMax} ms`, { cause: error });
      return { code, stdout: stdout ?? "", stderr: stderr ?? "" };
    }
  }

  /** The same; throws with all it said when it fails. */
  async mustRun(lines: string, msMax?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(lines, msMax);
    if (code !== 0) throw new Error(`${lines}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  /** In order, as root's `systemctl reboot`: every unit is stopped. `whileOff` is done before it boots again, in a network that is new. */
  async reboot(whileOff: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const off = this.#exited();
    await this.mustRun("systemctl --no-block reboot");
    await this.#bootAgain(off, whileOff);
  }

  /** Every process ends at once, as when the power is cut. What was written and not synced stays, other than then. */
  async powerCycle(whileOff: () => Promise<void> = () => Promise.resolve()): Promise<void> {
    const off = this.#exited();
    process.kill(this.#leader, "SIGKILL");
    await this.#bootAgain(off, whileOff);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = this.#exited();
    this.#nspawn.kill("SIGTERM"); // `timeout` hands it on; the overlay is thrown away: there is nothing to shut down in order.
    await exited;
    await execute("umount", ["--lazy", join(this.#folder, "root")]);
    for (const root of cgroupRoots())
      await execute("find", [join(root, this.#name), "-depth", "-type", "d", "-exec", "rmdir", "{}", ";"]).catch(
        () => {},
      );
    await rm(this.#folder, { recursive: true, force: true });
  }

  #exited(): Promise<void> {
    const { exitCode, signalCode } = this.#nspawn;
    if (exitCode !== null || signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => this.#nspawn.once("exit", () => resolve()));
  }

  async #bootAgain(off: Promise<void>, whileOff: () => Promise<void>): Promise<void> {
    await within("the container to be off", off, bootMsMax);
    this.#leader = 0;
    await whileOff();
    this.#nspawn = this.#start();
    await this.#running();
  }

  async #running(): Promise<void> {
    await until(
      "systemd of the container to say that it runs",
      async () => {
        if (this.#nspawn.exitCode !== null) throw new Error(`systemd-nspawn ended with ${this.#nspawn.exitCode}`);
        // Asked each time: its first child prepares the container and ends, the next is the container's first process.
        this.#leader = childOf(childOf(this.#nspawn.pid ?? 0));
        if (this.#leader === 0) return false;
        return /running|degraded/.test((await this.run("systemctl is-system-running || :")).stdout);
      },
      bootMsMax,
    );
  }
}

function cgroupRoots(): string[] {
  const places = ["/sys/fs/cgroup/unified", "/sys/fs/cgroup/systemd"].filter((place) => existsSync(place));
  return existsSync("/sys/fs/cgroup/cgroup.controllers") ? ["/sys/fs/cgroup"] : places;
}

function childOf(pid: number): number {
  try {
    return Number(readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ")[0] ?? 0);
  } catch {
    return 0;
  }
}

/** Made once and kept in a cache. */
async function ensureTree(suite: Suite): Promise<string> {
  const folder = join(homedir(), ".cache/hl-daemon/nspawn", suite);
  if (existsSync(folder)) return folder;
  const building = `${folder}.building`;
  await rm(building, { recursive: true, force: true });
  mkdirSync(join(folder, ".."), { recursive: true });
  // Where this machine takes its own packages from: every suite is there.
  const asked = ["indextargets", "--format", "$(REPO_URI)", "Origin: Debian"];
  const { stdout } = await execute("apt-get", asked).catch(() => ({ stdout: "" }));
  const mirror = stdout.split("\n")[0] ?? "";
  await execute(
    "mmdebstrap",
    ["--quiet", "--variant=minbase", `--include=${packages}`, suite, building, ...(mirror === "" ? [] : [mirror])],
    { timeout: 600_000, maxBuffer: 2 ** 26 },
  );
  writeFileSync(join(building, "etc/hostname"), "vm\n");
  if (!readdirSync(building).includes("usr")) throw new Error("mmdebstrap made no tree");
  await rename(building, folder);
  return folder;
}
