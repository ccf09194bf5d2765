import type { MethodCall } from "@hl/protocol/method.ts";
import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import type { FakeHandlers } from "./fake-daemon.ts";

/** Something a command writes, and things that happen to whoever watches it. */
export type Step =
  | Readonly<{ write: Buffer | string; to?: "stdout" | "stderr" }>
  | Readonly<{ gap: number }>
  | Readonly<{ wait: Promise<unknown> }>
  | Readonly<{ act: () => void }>;

export function resultOf(commandId: string, end: Partial<CommandResult> = {}): CommandResult {
  return {
    command_id: commandId,
    process_id: 42,
    status: "started",
    stdout_bytes: 0,
    stderr_bytes: 0,
    stdout_truncated: false,
    stderr_truncated: false,
    pipes_still_open: false,
    execution_time: 12,
    resource_usage: { max_memory: 1, cpu_time: 1 },
    started_at: 1_700_000_000,
    ...end,
  };
}

export const succeeded: Partial<CommandResult> = { status: "completed", reason: "exited", exit_code: 0 };

/**
 * One command whose output is known beforehand, followed from any position as the real daemon does it. `act` and `wait` steps
 * happen once, however often the command is followed.
 */
export class FakeCommand {
  readonly #steps: readonly Step[];
  readonly #end: Promise<Partial<CommandResult>>;
  readonly #done = new Set<Step>();
  readonly #cancelled = Promise.withResolvers<Partial<CommandResult>>();
  /** Bytes of standard input, as they came. */
  readonly input: Buffer[] = [];
  readonly inputEnded = Promise.withResolvers<undefined>();

  constructor(steps: readonly Step[], end: Partial<CommandResult> | Promise<Partial<CommandResult>> = succeeded) {
    this.#steps = steps;
    this.#end = Promise.race([Promise.resolve(end), this.#cancelled.promise]);
  }

  /** Resolves the end of a command that runs until it is cancelled. */
  static untilCancelled(steps: readonly Step[]): FakeCommand {
    return new FakeCommand(steps, new Promise(() => {}));
  }

  get handlers(): FakeHandlers {
    return {
      "command/execute": async ({ command_id }, call) => this.#begin(command_id, 0, call),
      "command/subscribe": async ({ command_id, offset }, call) => this.#begin(command_id, offset, call),
      "command/cancel": async ({ command_id }) => {
        this.#cancelled.resolve({ status: "failed", reason: "cancelled", signal: "SIGTERM" });
        return resultOf(command_id, await this.#end);
      },
      "command/input": async ({ data, encoding, eof }) => {
        this.input.push(Buffer.from(data, encoding));
        if (eof) this.inputEnded.resolve(undefined);
        return { accepted_bytes: data.length, closed: false };
      },
    };
  }

  #begin(commandId: string, from: number, call: MethodCall): CommandResult {
    call.stream(async (signal) => {
      await this.#play(commandId, from, call, signal);
      const end = await this.#end;
      if (!signal.aborted) await call.notify("command/exited", resultOf(commandId, end));
    });
    return resultOf(commandId);
  }

  async #play(commandId: string, from: number, call: MethodCall, signal: AbortSignal): Promise<void> {
    let position = 0;
    const offsets = { stdout: 0, stderr: 0 };
    for (const step of this.#steps) {
      if (signal.aborted) return;
      if ("act" in step || "wait" in step) {
        if (!this.#done.has(step)) {
          this.#done.add(step);
          if ("act" in step) step.act();
          else await step.wait;
        }
        continue;
      }
      if ("gap" in step) {
        if (from <= position) await call.notify("command/gap", { command_id: commandId, position, bytes: step.gap });
        position += step.gap;
        continue;
      }
      const bytes = Buffer.from(step.write);
      const stream = step.to ?? "stdout";
      const skip = Math.min(bytes.length, Math.max(0, from - position));
      if (skip < bytes.length) {
        const data = bytes.subarray(skip).toString("base64");
        const at = { offset: offsets[stream] + skip, position: position + skip };
        await call.notify("command/output", { command_id: commandId, stream, ...at, data, encoding: "base64" });
      }
      position += bytes.length;
      offsets[stream] += bytes.length;
    }
  }
}
