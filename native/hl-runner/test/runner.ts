/** Starts a resident for a test and speaks with its shims. Everything waits for a frame or an event; nothing sleeps. */
import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { chmodSync, mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync } from "node:fs";
import { createConnection, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { frame, parseFrames, TYPE, type FieldName, type FieldValue, type Fields, type Frame } from "./frames.ts";
import { readLog } from "./read-log.ts";

export const binary: string = process.env["HL_RUNNER_BIN"] ?? join(import.meta.dirname, "../build/hl-runner");
const FRAME_WAIT_MS = 15_000;

export type StartOptions = {
  id?: string;
  argv: readonly string[];
  env?: readonly string[];
  cwd?: string;
  numbers?: Partial<Record<FieldName, number>>;
  proxySocket?: string;
  allowRead?: readonly string[];
  allowWrite?: readonly string[];
};

let nextId = 0;
export function newId(): string {
  return `t${String(process.pid)}-${String(nextId++)}`;
}

export function startFrame(options: StartOptions): Buffer {
  const fields: [FieldName, FieldValue][] = [["id", options.id ?? newId()]];
  for (const argument of options.argv) fields.push(["argv", argument]);
  for (const entry of options.env ?? ["PATH=/usr/bin:/bin"]) fields.push(["env", entry]);
  fields.push(["cwd", options.cwd ?? "/"]);
  for (const [name, value] of Object.entries(options.numbers ?? {})) fields.push([name as FieldName, value]);
  if (options.proxySocket !== undefined) fields.push(["proxy_socket", options.proxySocket]);
  for (const path of options.allowRead ?? []) fields.push(["allow_read", path]);
  for (const path of options.allowWrite ?? []) fields.push(["allow_write", path]);
  return frame(TYPE.start, fields);
}

/** One connection; frames are kept until somebody waits for them. */
export class Connection {
  readonly socket: Socket;
  readonly frames: Frame[] = [];
  closed = false;
  #rest: Buffer = Buffer.alloc(0);
  #wake: (() => void)[] = [];

  constructor(path: string) {
    this.socket = createConnection(path);
    this.socket.on("data", (bytes) => {
      const { frames, rest } = parseFrames(Buffer.concat([this.#rest, bytes]));
      this.#rest = rest;
      this.frames.push(...frames);
      this.#notify();
    });
    this.socket.on("error", () => {
      /* 'close' follows and is what the tests look at */
    });
    this.socket.on("close", () => {
      this.closed = true;
      this.#notify();
    });
  }

  send(bytes: Uint8Array): void {
    this.socket.write(bytes);
  }

  abandon(): void {
    if (!this.closed) this.socket.end(frame(TYPE.stop, [["grace_ms", 0]]));
    this.socket.unref();
  }

  disconnect(): void {
    this.socket.destroy();
  }

  /** The first frame that fits, now or later. Rejects when the connection closes without one. */
  async frame(type: number, fits: (fields: Fields) => boolean = () => true): Promise<Fields> {
    const find = (): Frame | undefined => this.frames.find((each) => each.type === type && fits(each.fields));
    await this.until(() => find() !== undefined || this.closed, `frame ${String(type)}`);
    const found = find();
    if (found === undefined)
      throw new Error(`the connection closed without frame ${String(type)}; it brought ${JSON.stringify(this.frames)}`);
    return found.fields;
  }

  async untilClosed(): Promise<void> {
    await this.until(() => this.closed, "the end of the connection");
  }

  async until(condition: () => boolean, what: string): Promise<void> {
    let late = false;
    const limit = setTimeout(() => {
      late = true;
      this.#notify();
    }, FRAME_WAIT_MS);
    try {
      while (!condition()) {
        if (late)
          throw new Error(
            `waited ${String(FRAME_WAIT_MS)} ms in vain for ${what}; so far ${JSON.stringify(this.frames)}`,
          );
        await new Promise<void>((resolve) => this.#wake.push(resolve));
      }
    } finally {
      clearTimeout(limit);
    }
  }

  #notify(): void {
    for (const wake of this.#wake.splice(0)) wake();
  }
}

export class Runner {
  readonly folder: string;
  readonly socket: string;
  readonly state: string;
  readonly process: ChildProcess;
  readonly ready: Record<string, unknown>;
  stderr = "";
  /** A test that kills shims says how many; any other death is a crash, and fails the test file. */
  shimDeathsExpected = 0;
  readonly #connections: Connection[] = [];

  private constructor(folder: string, child: ChildProcess, ready: Record<string, unknown>) {
    this.folder = folder;
    this.socket = join(folder, "runner.sock");
    this.state = join(folder, "state");
    this.process = child;
    this.ready = ready;
    child.stderr?.on("data", (bytes: Buffer) => {
      this.stderr += bytes.toString();
    });
  }

  static async start(
    more: readonly string[] = [],
    folder: string = mkdtempSync(join(tmpdir(), "hl-runner-")),
    launcher: readonly string[] = [],
  ): Promise<Runner> {
    chmodSync(folder, 0o755);
    const place = ["--socket", join(folder, "runner.sock"), "--state", join(folder, "state")];
    const [file, ...words] = [...launcher, binary, "serve", ...place, ...more] as [string, ...string[]];
    const child = spawn(file, words, { stdio: ["ignore", "pipe", "pipe"] });
    const lines = createInterface({ input: child.stdout });
    const failed = once(child, "exit").then(([code]) => {
      throw new Error(`the resident ended with ${String(code)} before it was ready`);
    });
    const [line] = (await Promise.race([once(lines, "line"), failed])) as [string];
    failed.catch(() => undefined);
    return new Runner(folder, child, JSON.parse(line) as Record<string, unknown>);
  }

  get pid(): number {
    const { pid } = this.process;
    if (pid === undefined) throw new Error("the resident has no pid");
    return pid;
  }

  /** The folders of runs. A name with a dot is none: it waits for one. */
  runs(): string[] {
    return readdirSync(this.state).filter((name) => !name.startsWith("."));
  }

  connect(): Connection {
    const connection = new Connection(this.socket);
    this.#connections.push(connection);
    return connection;
  }

  start(options: StartOptions): Connection {
    const connection = this.connect();
    connection.send(startFrame(options));
    return connection;
  }

  /** Runs to the end; answers END's fields and what the log has. */
  async run(options: StartOptions): Promise<{ end: Fields; stdout: Buffer; stderr: Buffer; id: string }> {
    const id = options.id ?? newId();
    const connection = this.start({ ...options, id });
    const end = await connection.frame(TYPE.end);
    const log = readLog(join(this.state, id));
    connection.send(frame(TYPE.release));
    connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
    await connection.untilClosed();
    return { end, stdout: log.bytes(1), stderr: log.bytes(2), id };
  }

  async failed(options: StartOptions): Promise<Fields> {
    const connection = this.start(options);
    const failed = await connection.frame(TYPE.failed);
    await connection.untilClosed();
    return failed;
  }

  /** Ends what a failed test left running: a STOP on each connection, then the resident. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const connection of this.#connections) connection.abandon();
    if (this.process.exitCode === null && this.process.signalCode === null) {
      // Asked to end before it has reaped a dead shim it would not tell of it.
      const signal = AbortSignal.timeout(5_000);
      while (this.#shimDeaths < this.shimDeathsExpected) await once(this.process.stderr!, "data", { signal });
      this.process.kill("SIGTERM");
      await once(this.process, "exit");
    }
    rmSync(this.folder, { recursive: true, force: true });
    if (this.#shimDeaths !== this.shimDeathsExpected)
      throw new Error(`${String(this.#shimDeaths)} shims died; the resident said:\n${this.stderr}`);
  }

  get #shimDeaths(): number {
    return this.stderr.split("\n").filter((line) => line.includes("a shim died")).length;
  }
}

export function childrenOf(parent: number): number[] {
  const children: number[] = [];
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, "latin1");
      if (Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]) === parent) children.push(Number(name));
    } catch {
      /* it ended while we looked */
    }
  }
  return children;
}

export function descriptorsOf(pid: number): string[] {
  return readdirSync(`/proc/${String(pid)}/fd`).map((fd) => `${fd} ${readlinkSync(`/proc/${String(pid)}/fd/${fd}`)}`);
}

/** Resolves when the condition holds. For what has no event a test could await: it is asked again at every turn of the event loop. */
export async function eventually(condition: () => boolean, what: string): Promise<void> {
  const limit = performance.now() + FRAME_WAIT_MS;
  while (!condition()) {
    if (performance.now() > limit) throw new Error(`waited in vain for ${what}`);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

export function stateOf(pid: number): string {
  try {
    const stat = readFileSync(`/proc/${String(pid)}/stat`, "latin1");
    return stat.charAt(stat.lastIndexOf(")") + 2);
  } catch {
    return "gone";
  }
}

/** What a process calls itself; empty when it is gone. */
export function nameOf(pid: number): string {
  try {
    return readFileSync(`/proc/${String(pid)}/comm`, "latin1").trim();
  } catch {
    return "";
  }
}

/** Not running: gone, or a zombie that only waits to be reaped by somebody outside this test. */
export function isAlive(pid: number): boolean {
  return !["Z", "X", "gone"].includes(stateOf(pid));
}

export async function untilDead(pid: number): Promise<void> {
  await eventually(() => !isAlive(pid), `the end of process ${String(pid)}`);
}
