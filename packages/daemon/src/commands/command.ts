import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import type { OutputSource } from "../runner/output-source.ts";
import type { Run } from "../runner/run.ts";
import { statusOf, usageOf, type Ending } from "./ending.ts";
import { replyOutput } from "./reply-output.ts";

/**
 * One command as this daemon knows it. States: starting, or looked up after a restart (no run yet) → running → ended. `ended` resolves
 * once and never rejects; a command that could not be started is removed instead, and its callers get the error from `launched`.
 */
export class Command {
  readonly id: string;
  readonly runId: string;
  readonly paramsHash: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly startedMs: number;
  readonly #launched = Promise.withResolvers<undefined>();
  readonly #ended = Promise.withResolvers<Ending>();
  #run: Run | undefined;
  #output: OutputSource | undefined;
  #ending: Ending | undefined;

  constructor(facts: Pick<Command, "id" | "runId" | "paramsHash" | "command" | "args" | "startedMs">) {
    this.id = facts.id;
    this.runId = facts.runId;
    this.paramsHash = facts.paramsHash;
    this.command = facts.command;
    this.args = facts.args;
    this.startedMs = facts.startedMs;
    this.#launched.promise.catch(() => {}); // The first caller hears of it by its own path.
  }

  /** Resolves when the process runs (or is known to have run); rejects with the refusal. */
  get launched(): Promise<undefined> {
    return this.#launched.promise;
  }

  get ended(): Promise<Ending> {
    return this.#ended.promise;
  }

  get run(): Run | undefined {
    return this.#run;
  }

  /** Undefined while nothing is known of it, and of one that left nothing. */
  get output(): OutputSource | undefined {
    return this.#output;
  }

  get ending(): Ending | undefined {
    return this.#ending;
  }

  launch(run: Run): void {
    this.#run = run;
    this.#output = run;
    this.#launched.resolve(undefined);
  }

  refuse(error: unknown): void {
    this.#launched.reject(error);
  }

  /** @param output of a command without a run: what is left of its log. */
  end(ending: Ending, output?: OutputSource): void {
    this.#ending ??= ending;
    this.#output ??= output;
    this.#launched.resolve(undefined);
    this.#ended.resolve(this.#ending);
  }

  /** @param outputBytesMax for each stream; the reply has head and tail within it. */
  async result(nowMs: number, outputBytesMax: number): Promise<CommandResult> {
    const ending = this.#ending;
    if (ending === undefined) return this.startedResult(nowMs);
    const source = this.#output;
    const output = async (stream: "stdout" | "stderr", bytes: number): Promise<Partial<CommandResult>> => {
      if (source === undefined) return bytes === 0 ? { [stream]: "" } : { [`${stream}_truncated`]: true };
      const reply = await replyOutput(source, stream, bytes, outputBytesMax);
      return {
        [stream]: reply.text,
        ...(reply.encoding === "base64" ? { [`${stream}_encoding`]: "base64" } : {}),
        [`${stream}_truncated`]: reply.truncated,
      };
    };
    return {
      command_id: this.id,
      process_id: ending.pid,
      status: statusOf(ending),
      ...(ending.exitCode === undefined ? {} : { exit_code: ending.exitCode }),
      ...(ending.signal === undefined ? {} : { signal: ending.signal }),
      reason: ending.reason,
      stdout_bytes: ending.stdoutBytes,
      stderr_bytes: ending.stderrBytes,
      stdout_truncated: false,
      stderr_truncated: false,
      ...(await output("stdout", ending.stdoutBytes)),
      ...(await output("stderr", ending.stderrBytes)),
      pipes_still_open: ending.pipesStillOpen,
      execution_time: ending.durationMs,
      resource_usage: usageOf(ending),
      started_at: ending.startedMs / 1000,
      ended_at: ending.endedMs / 1000,
    };
  }

  /** The answer at once, before any output: also where the command has ended by now, since its end comes as a notification. */
  startedResult(nowMs: number): CommandResult {
    const mark = this.#output?.output;
    return {
      command_id: this.id,
      process_id: this.#run?.pid ?? 0,
      status: "started",
      stdout_bytes: mark?.stdoutBytes ?? 0,
      stderr_bytes: mark?.stderrBytes ?? 0,
      stdout_truncated: false,
      stderr_truncated: false,
      pipes_still_open: false,
      execution_time: Math.max(0, nowMs - this.startedMs),
      resource_usage: { max_memory: 0, cpu_time: 0 },
      started_at: this.startedMs / 1000,
    };
  }
}
