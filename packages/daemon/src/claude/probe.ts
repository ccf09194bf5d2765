/**
 * Which protocol an agent's program speaks, where nobody has said it (`auto`). It is asked only what every program may be asked: its name,
 * `--version` and `--help`, with nothing on its standard input. A line in the wrong protocol could end an agent, or be a prompt that costs
 * money, so what is not recognised is refused and not tried.
 */
import { statSync } from "node:fs";
import { basename } from "node:path";
import { HlError } from "@hl/protocol/errors.ts";
import { followRun } from "../runner/follow.ts";
import type { StartRequest } from "../runner/records.ts";
import type { Runner } from "../runner/runner.ts";
import type { AgentInfo } from "./agent.ts";

type Protocol = AgentInfo["protocol"];

/** What the program says to one question. */
interface Said {
  readonly text: string;
  readonly stderr: string;
  /** For the error: how it ended. */
  readonly how: string;
}

export interface ProbeRequest {
  /** As configured, and where it really is. */
  readonly configured: string;
  readonly path: string;
  /** Arguments that it will be started with. */
  readonly args: readonly string[];
  /** A start of the program with other arguments and no input, in the agent's own sandbox and environment. */
  readonly start: (args: readonly string[]) => StartRequest;
}

/** The longest that the program may take for `--version`; one that knows it is done in a tenth of that on a busy machine. */
export const probeMsMax = 10_000;
const saidBytesMax = 256 * 1024;
const rememberedMax = 100;

export class ProtocolProbe {
  readonly #runner: Runner;
  /** By path, size and time of change of the program. */
  readonly #known = new Map<string, Protocol>();

  constructor(runner: Runner) {
    this.#runner = runner;
  }

  /** Rejects with `claude_unavailable` where it cannot be told, and as a start where nothing can be started. */
  async protocolOf(request: ProbeRequest): Promise<Protocol> {
    const named = protocolOfName(request);
    if (named !== undefined) return named;
    const { size, mtimeMs } = statSync(request.path);
    const key = `${request.path} ${size} ${mtimeMs}`;
    const known = this.#known.get(key);
    if (known !== undefined) return known;
    const version = await this.#ask(request, "--version");
    const protocol = protocolOfVersion(version.text) ?? protocolOfHelp((await this.#ask(request, "--help")).text);
    if (protocol === undefined) {
      const text =
        `the agent failed to start: what protocol ${request.path} speaks cannot be told (its --version ${version.how}); ` +
        `set claude_integration.protocol, or protocol in claude/start, to "stream-json", "jsonrpc" or "acp"`;
      throw new HlError("claude_unavailable", text, { binary_path: request.configured, stderr_tail: version.stderr });
    }
    this.#known.set(key, protocol);
    const [oldest] = this.#known.keys();
    if (this.#known.size > rememberedMax && oldest !== undefined) this.#known.delete(oldest);
    return protocol;
  }

  async #ask({ start }: ProbeRequest, question: string): Promise<Said> {
    const run = await this.#runner.start(start([question]));
    let [text, stderr] = ["", ""];
    try {
      const enough = new AbortController();
      for await (const { chunks } of followRun(run, 0, enough.signal)) {
        for (const { stream, data } of chunks) {
          if (stream === "stdout") text += data.toString("utf8");
          else stderr = (stderr + data.toString("utf8")).slice(-2_048);
        }
        if (text.length > saidBytesMax) enough.abort();
      }
      run.stop("cancelled", 0);
      const end = await run.ended;
      await run.empty;
      const how = end.exitCode === undefined ? "did not end in time" : `ended with exit code ${end.exitCode}`;
      return { text, stderr, how };
    } finally {
      run.stop("cancelled", 0);
      run.release();
      await run.left;
      await run.forget();
    }
  }
}

/** First: by name, and by arguments that turn a program to ACP. */
function protocolOfName({ configured, path, args }: ProbeRequest): Protocol | undefined {
  if (args.some((arg) => arg === "--acp" || arg === "--experimental-acp") || args[0] === "acp") return "acp";
  const packageName = /\/node_modules\/(?:@[^/]+\/)?([^/]+)\//u.exec(path)?.[1];
  for (const name of [basename(configured), basename(path), packageName ?? ""]) {
    if (name === "claude" || name === "claude.exe") return "stream-json";
    if (/(?:^|-)acp(?:\.[cm]?js)?$/u.test(name)) return "acp";
  }
  return undefined;
}

/** Second: by how it calls itself. */
function protocolOfVersion(text: string): Protocol | undefined {
  if (text.includes("(Claude Code)")) return "stream-json";
  if (/json-?rpc/iu.test(text)) return "jsonrpc";
  return /\bacp\b|agent client protocol/iu.test(text) ? "acp" : undefined;
}

/** Third: by the options that it offers. ACP is not guessed by them: a program that offers it does something else without the option. */
function protocolOfHelp(text: string): Protocol | undefined {
  if (text.includes("--input-format") && text.includes("stream-json")) return "stream-json";
  return /--stdio\b/u.test(text) ? "jsonrpc" : undefined;
}
