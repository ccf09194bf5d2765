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

const execute = promisify(execFile);

const bootMsMax = 180_000;
/** It ends by itself when whoever started it could not end it. */
const lifeSecondsMax = 1_800;
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

  private constructor(folder: string, qemu: ChildProcess, ssh: readonly string[]) {
    this.#folder = folder;
    this.#qemu = qemu;
    this.#ssh = ssh;
  }

  /** Resolves when it takes commands. The programs are at `payloadRoot`, read-only. */
  static async boot(memoryMb = 1024): Promise<Machine> {
    const image = await ensureImage();
    const folder = mkdtempSync(join(tmpdir(), "hl-vm-"));
    const payload = await makePayload(folder);
    const port = await freePort();
    const ssh = sshArguments(image, folder, port);
    const qemu = spawn("timeout", ["-k", "5", String(lifeSecondsMax), ...qemuCommand(image, payload, memoryMb, port)], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const machine = new Machine(folder, qemu, ssh);
    await machine.#ready();
    await machine.mustRun(`mkdir -p ${payloadRoot} && mount -o ro /dev/vdb ${payloadRoot}`);
    return machine;
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

  async #ready(): Promise<void> {
    await new Promise<void>((resolve, reject) => {
      const fail = (why: string): void =>
        reject(new Error(`the machine ${why}; its console:\n${this.#console.slice(-4_000)}`));
      const timer = setTimeout(() => fail(`was not ready within ${bootMsMax} ms`), bootMsMax);
      this.#qemu.once("error", reject);
      this.#qemu.once("exit", (code) => fail(`ended with ${code}`));
      this.#qemu.stdout?.setEncoding("utf8").on("data", (text: string) => {
        this.#console += text;
        if (!this.#console.includes("HL-MACHINE-READY")) return;
        clearTimeout(timer);
        resolve();
      });
    }).catch(async (error: unknown) => {
      await this[Symbol.asyncDispose]();
      throw error;
    });
  }
}

function qemuCommand(image: Image, payload: string, memoryMb: number, port: number): string[] {
  const drive = (id: string, file: string, more: string): string[] => [
    ...["-drive", `id=${id},file=${file},format=raw,if=none,${more}`, "-device", `virtio-blk-pci,drive=${id}`],
  ];
  return [
    ...["qemu-system-x86_64", "-machine", "q35", "-accel", "tcg,thread=multi", "-cpu", "max,pku=off", "-smp", "2"],
    ...["-m", String(memoryMb), "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"],
    ...["-kernel", image.kernel, "-initrd", image.initialRamDisk],
    ...["-append", "console=ttyS0 root=/dev/vda rw panic=-1 mitigations=off quiet"],
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
