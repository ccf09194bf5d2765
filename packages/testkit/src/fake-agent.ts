/**
 * An agent program for the real daemon whose every word a test decides: a script that joins its pipes to a connection, at whose other
 * end is a `FakeClaude` in the test. So a test can say what an agent says, and when, to the byte, while processes, pipes, shims and
 * sandbox are real.
 */
import { chmodSync, writeFileSync } from "node:fs";
import { createServer, type Socket } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { FakeClaude, type Message } from "./fake-claude.ts";
import { until, within } from "./waiting.ts";

/** Needs bash for its /dev/tcp. Asked for its version it calls itself Claude Code, as what speaks stream-json does. The program ends with this code when the test closes the connection. */
export const fakeAgentExitCode = 7;

const script = `#!/bin/bash
if [ "$1" = --version ]; then echo "0.0.0 (Claude Code)"; exit 0; fi
exec 3<>/dev/tcp/127.0.0.1/$FAKE_AGENT_PORT 4<&0
cat <&4 >&3 &
cat <&3
exit ${fakeAgentExitCode}
`;

/** One process of the fake agent. */
export class FakeAgent {
  readonly claude: FakeClaude;
  /** All bytes of its standard input, as they came. */
  readonly input: Buffer[] = [];
  readonly #socket: Socket;

  constructor(socket: Socket) {
    this.#socket = socket;
    this.claude = new FakeClaude((chunk) => void socket.write(chunk));
    const lines = createInterface({ input: socket, crlfDelay: Infinity });
    socket.on("data", (bytes: Buffer) => void this.input.push(bytes));
    lines.on("line", (line) => this.claude.take(`${line}\n`));
    socket.on("error", () => {});
  }

  /** Bytes on its standard output, as they are. */
  write(bytes: string | Uint8Array): Promise<void> {
    return new Promise((resolve) => void this.#socket.write(bytes, () => resolve()));
  }

  /** The n-th line that it has been sent and that is wanted, from 1. */
  async got(wanted: (message: Message) => boolean, n: number = 1): Promise<Message> {
    return until(`line ${n} of the agent's input`, () => this.claude.sent.filter(wanted)[n - 1]);
  }

  prompt(n: number): Promise<Message> {
    return this.got((message) => message.type === "user", n);
  }

  /** Answers the n-th initialize. */
  async initialized(n: number, response: object = {}, beside: object = {}): Promise<void> {
    await this.got(({ request }) => request?.subtype === "initialize", n);
    this.claude.answer("initialize", { session_state: "idle", claude_code_version: "fake", ...response }, beside);
  }

  /** It ends with `fakeAgentExitCode`. */
  end(): void {
    this.#socket.end();
  }

  destroy(): void {
    this.#socket.destroy();
  }
}

/** Where the daemon's fake agents connect to. */
export class FakeAgents implements AsyncDisposable {
  readonly #server = createServer((socket) => this.#add(new FakeAgent(socket)));
  readonly #all: FakeAgent[] = [];
  readonly #waiting: ((agent: FakeAgent) => void)[] = [];
  #taken = 0;

  static async start(): Promise<FakeAgents> {
    const agents = new FakeAgents();
    await new Promise<void>((resolve) => void agents.#server.listen(0, "127.0.0.1", resolve));
    return agents;
  }

  /** For `claude_integration`; the script is put into the folder. */
  config(folder: string): { readonly binary_path: string; readonly environment: Readonly<Record<string, string>> } {
    const path = join(folder, "fake-agent");
    writeFileSync(path, script);
    chmodSync(path, 0o755);
    return { binary_path: path, environment: { FAKE_AGENT_PORT: String(this.#port) } };
  }

  /** The next process that connects. */
  next(): Promise<FakeAgent> {
    const agent = this.#all[this.#taken];
    this.#taken += 1;
    if (agent !== undefined) return Promise.resolve(agent);
    return within("a fake agent that connects", new Promise((resolve) => void this.#waiting.push(resolve)));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const agent of this.#all) agent.destroy();
    await new Promise<void>((resolve) => void this.#server.close(() => resolve()));
  }

  get #port(): number {
    const address = this.#server.address();
    if (address === null || typeof address === "string") throw new Error("the fake agents do not listen on a TCP port");
    return address.port;
  }

  #add(agent: FakeAgent): void {
    this.#all.push(agent);
    this.#waiting.shift()?.(agent);
  }
}
