/**
 * A really booted Linux with systemd as its first process and every cgroup controller: qemu without hardware virtualisation, which runs
 * everywhere and some forty times slower than the machine itself.
 */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { rm } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { ensureImage, type Image } from "./image.ts";
import { makePayload, payloadRoot } from "./payload.ts";

/** Makes the second disk in a folder that goes with the machine, and says where it is. */
export type MakeDisk = (folder: string) => Promise<string>;

const execute = promisify(execFile);

const bootMsMax = 600_000;
/** It ends by itself when whoever started it could not end it. */
const lifeSecondsMax = 2_400;
const readyLine = /HL-MACHINE-READY/g;
const answerBytesMax = 16 * 2 ** 20;

export interface GuestAnswer {
  readonly code: number;
  readonly stdout: string;
  readonly stderr: string;
}

export class Machine implements AsyncDisposable {
  readonly #folder: string;
  readonly #qemu: ChildProcess;
  readonly #ssh: readonly string[];
  #console = "";
  #boots = 0;

  private constructor(folder: string, qemu: ChildProcess, ssh: readonly string[]) {
    this.#folder = folder;
    this.#qemu = qemu;
    this.#ssh = ssh;
  }

  /** Resolves when it takes commands. What is on the second disk, the programs if nothing else is said, is at `payloadRoot`, read-only. */
  static async boot(makeDisk: MakeDisk = makePayload, memoryMb = 1024): Promise<Machine> {
    const image = await ensureImage();
    const folder = mkdtempSync(join(tmpdir(), "hl-vm-"));
    const payload = await makeDisk(folder);
    const port = await freePort();
    const ssh = sshArguments(image, folder, port);
    const qemu = spawn("timeout", ["-k", "5", String(lifeSecondsMax), ...qemuCommand(image, payload, memoryMb, port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const machine = new Machine(folder, qemu, ssh);
    qemu.stdout?.setEncoding("utf8").on("data", (text: string) => (machine.#console += text));
    await machine.#ready();
    return machine;
  }

  /** From now on, until it boots anew, `port` of the machine's loopback is `hostPort` of this machine's. */
  async forward(port: number, hostPort: number): Promise<void> {
    await execute("ssh", ["-O", "forward", "-R", `127.0.0.1:${port}:127.0.0.1:${hostPort}`, ...this.#ssh]);
  }

  /** As when the power is cut and comes back: what nobody has synced is gone. `last` is a line of shell, run just before. */
  async cutPower(last: string): Promise<void> {
    // Nobody waits for the answer of a machine that has no power.
    await this.mustRun(`(sleep 0.2; ${last}; echo b >/proc/sysrq-trigger) >/dev/null 2>&1 </dev/null &`);
    await execute("ssh", ["-O", "exit", ...this.#ssh]).catch(() => {});
    await this.#ready();
  }

  /** Runs a line of shell as root; once more when ssh itself fails (exit 255, not a word), so it should be one that may be repeated. */
  async run(line: string, msMax = 120_000): Promise<GuestAnswer> {
    const answer = await this.#once(line, msMax);
    return answer.code === 255 && answer.stdout + answer.stderr === "" ? this.#once(line, msMax) : answer;
  }

  async #once(line: string, msMax: number): Promise<GuestAnswer> {
    const options = { timeout: msMax, maxBuffer: answerBytesMax };
    try {
      return { code: 0, ...(await execute("ssh", [...this.#ssh, line], options)) };
    } catch (error) {
      const { code, stdout, stderr } = error as { code?: unknown; stdout?: string; stderr?: string };
      if (typeof code !== "number") throw new Error(`${line}: not ended within ${msMax} ms`, { cause: error });
      return { code, stdout: stdout ?? "", stderr: stderr ?? "" };
    }
  }

  /** The same; throws with all it said when it fails. */
  async mustRun(line: string, msMax?: number): Promise<string> {
    const { code, stdout, stderr } = await this.run(line, msMax);
    if (code !== 0) throw new Error(`${line}: exit ${code}\n${stdout}${stderr}`);
    return stdout;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    const exited = new Promise<void>((resolve) => {
      if (this.#qemu.exitCode !== null || this.#qemu.signalCode !== null) resolve();
      else this.#qemu.once("exit", () => resolve());
    });
    this.#qemu.kill("SIGTERM"); // Its disk is a throw-away copy: there is nothing to shut down in order.
    await exited;
    await rm(this.#folder, { recursive: true, force: true });
  }

  /** Waits for the next boot to say that commands are taken. */
  async #ready(): Promise<void> {
    const boots = (this.#boots += 1);
    const { promise, resolve, reject } = Promise.withResolvers<undefined>();
    const fail = (why: string): void =>
      reject(new Error(`the machine ${why}; its console:\n${this.#console.slice(-4_000)}`));
    const ended = (code: number | null): void => fail(`ended with ${code}`);
    const look = (): void => {
      if ((this.#console.match(readyLine) ?? []).length >= boots) resolve(undefined);
    };
    const timer = setTimeout(() => fail(`was not ready within ${bootMsMax} ms`), bootMsMax);
    this.#qemu.once("error", reject).once("exit", ended);
    this.#qemu.stdout?.on("data", look);
    try {
      await promise;
      await this.mustRun(`mkdir -p ${payloadRoot} && mount -o ro /dev/vdb ${payloadRoot}`);
    } catch (error) {
      await this[Symbol.asyncDispose]();
      throw error;
    } finally {
      clearTimeout(timer);
      this.#qemu.off("error", reject).off("exit", ended);
      this.#qemu.stdout?.off("data", look);
    }
  }
}

function qemuCommand(image: Image, payload: string, memoryMb: number, port: number): string[] {
  const drive = (id: string, file: string, more: string): string[] => [
    ...["-drive", `id=${id},file=${file},format=raw,if=none,${more}`, "-device", `virtio-blk-pci,drive=${id}`],
  ];
  return [
    ...["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,pku=off", "-smp", "2"],
    ...["-m", String(memoryMb), "-nodefaults", "-no-user-config", "-display", "none"],
    ...["-kernel", image.kernel, "-initrd", image.initialRamDisk],
    ...["-append", "console=ttyS0 root=/dev/vda rw panic=-1 mitigations=off tsc=reliable quiet"],
    ...drive("d0", image.disk, "snapshot=on"),
    ...drive("d1", payload, "readonly=on"),
    // No way out of the machine; one way in, on loopback.
    ...["-netdev", `user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:${port}-:22`],
    ...[
      "-device",
      "virtio-net-pci,netdev=n0,romfile=",
      "-device",
      "virtio-rng-pci",
      "-serial",
      "stdio",
      "-monitor",
      "none",
    ],
  ];
}

function sshArguments(image: Image, folder: string, port: number): string[] {
  const options = {
    StrictHostKeyChecking: "no",
    UserKnownHostsFile: "/dev/null",
    LogLevel: "ERROR",
    ConnectTimeout: "30",
    ControlMaster: "auto",
    ControlPath: join(folder, "ssh"),
    ControlPersist: "600",
  };
  const flags = Object.entries(options).flatMap(([name, value]) => ["-o", `${name}=${value}`]);
  return ["-i", image.key, "-p", String(port), ...flags, "root@127.0.0.1"];
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  await new Promise((resolve) => {
    server.close(resolve);
  });
  return port;
}
