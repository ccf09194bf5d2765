import type { Clock } from "@hl/core/clock.ts";
import { HlError } from "@hl/protocol/errors.ts";
import type { Handlers, MethodCall } from "@hl/protocol/method.ts";
import type { DaemonMethods } from "@hl/protocol/methods.ts";
import type { CommandResult } from "@hl/protocol/methods/command-result.ts";
import type { Command } from "./command.ts";
import type { Commands } from "./commands.ts";
import { audited, type DecisionPorts } from "./decision.ts";
import { deniedDecision } from "./dry-run.ts";
import { interactiveHandlers } from "./interactive.ts";
import { describe, measure } from "./listed-command.ts";
import { checkOffset, readLogs } from "./logs.ts";
import { followOutput, type OutputSink } from "./output-stream.ts";

type CommandMethods = Extract<keyof DaemonMethods, `command/${string}`>;

export interface CommandHandlerDeps {
  readonly commands: Commands;
  readonly clock: Clock;
  readonly replyBytesMax: number;
  /** Told of each decision about command/execute. */
  readonly onDecision: DecisionPorts["onDecision"];
}

export function commandHandlers(deps: CommandHandlerDeps): Pick<Handlers<DaemonMethods>, CommandMethods> {
  const { commands, clock } = deps;
  const resultOf = (command: Command): Promise<CommandResult> => command.result(clock.wallMs(), deps.replyBytesMax);

  /** Ends with the command, or when the caller has waited as long as it wanted to: the command itself goes on. */
  const endedWithin = async (command: Command, seconds: number | undefined, signal: AbortSignal): Promise<void> => {
    if (seconds === undefined) return untilAborted(command.ended, signal);
    if (seconds === 0) return;
    const passed = Promise.withResolvers<undefined>();
    const cancel = clock.after(seconds * 1000, () => passed.resolve(undefined));
    try {
      await untilAborted(Promise.race([command.ended, passed.promise]), signal);
    } finally {
      cancel();
    }
  };

  /** Output as notifications, then the full result. */
  const stream = (command: Command, from: number, encoding: OutputSink["encoding"], call: MethodCall): void => {
    const sink: OutputSink = {
      commandId: command.id,
      encoding,
      notify: (method, params) => call.notify(method, params),
      notifyBytes: (method, params, member) => call.notifyBytes(method, params, member),
    };
    call.stream(async (signal) => {
      await untilAborted(command.launched, signal); // After a restart it may not be found yet.
      const { output } = command;
      if (output !== undefined) await followOutput(output, from, sink, signal);
      if (signal.aborted) return;
      await command.ended;
      await call.notify("command/exited", await resultOf(command));
    });
  };

  return {
    "command/execute": async (params, call) => {
      if (params.dry_run === true) {
        const decided = audited(deps, params, call.caller, (note) => commands.decide(params, note));
        return decided.catch((error: unknown) => deniedDecision(params.command_id, error));
      }
      const command = await audited(deps, params, call.caller, (note) => commands.execute(params, note));
      if (params.stream_output) {
        stream(command, 0, params.output_encoding, call);
        return command.startedResult(clock.wallMs());
      }
      await endedWithin(command, params.wait, call.signal);
      return resultOf(command);
    },
    "command/status": async ({ command_id, wait }, call) => {
      const command = await commands.get(command_id);
      await endedWithin(command, wait ?? 0, call.signal);
      return resultOf(command);
    },
    "command/list": async ({ limit, running_first, usage, args_bytes_max }, { signal }) => {
      const user = commands.user;
      const listed = commands.list(limit, running_first).map((one) => ({ ...describe(one, args_bytes_max), user }));
      if (usage) await measure(listed, (commandId) => commands.usageOf(commandId), signal);
      return { commands: listed };
    },
    "command/logs": async ({ command_id, stream: which, offset, limit }) => {
      const command = await commands.get(command_id);
      return readLogs(command, which ?? "position", offset, limit);
    },
    "command/subscribe": async ({ command_id, offset, output_encoding }, call) => {
      const command = await commands.get(command_id);
      if (!call.canNotify)
        throw new HlError("invalid_request", "this transport carries no notifications: use the socket or a WebSocket");
      // Of one that runs the log may reach further in a moment, and this daemon may have found it only just now.
      if (command.ending !== undefined) checkOffset(offset, (command.output?.output ?? command.ending).position);
      stream(command, offset, output_encoding, call);
      return command.startedResult(clock.wallMs());
    },
    "command/cancel": async ({ command_id, grace }) => {
      const command = await commands.get(command_id);
      await commands.cancel(command, grace === undefined ? undefined : grace * 1000);
      return resultOf(command);
    },
    ...interactiveHandlers(commands),
  };
}

/** The command goes on when its caller leaves: only the waiting ends. */
async function untilAborted(promise: Promise<unknown>, signal: AbortSignal): Promise<void> {
  const { promise: aborted, reject } = Promise.withResolvers<never>();
  const onAbort = (): void => reject(signal.reason as Error);
  if (signal.aborted) onAbort();
  signal.addEventListener("abort", onAbort, { once: true });
  try {
    await Promise.race([promise, aborted]);
  } finally {
    signal.removeEventListener("abort", onAbort);
  }
}
