import type { Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { Chat } from "../chat/chat.ts";
import { LineFront } from "../chat/line-front.ts";
import { TerminalFront } from "../chat/terminal-front.ts";
import { exitCode } from "../exit-codes.ts";
import { tell } from "../failure.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";
import { addStartOptions, startOptions, startParams } from "./claude-start.ts";

const chatOptions = startOptions.extend({ keep: z.boolean().default(false), thinking: z.boolean().default(true) });

type ChatOptions = z.output<typeof chatOptions>;

export function addClaudeChat(parent: Command, cli: Cli): void {
  const command = verb(parent, "chat", "talk with an agent; without its id one is started, and stopped at the end");
  addStartOptions(command.argument("[process-id]", "see claude list"))
    .option("--keep", "leave the agent that was started running at the end")
    .option("--no-thinking", "do not show what the agent thinks")
    .action((processId: string | undefined, _options, self: Command) =>
      cli.run(self, (session) => chat(session, processId, chatOptions.parse(self.opts()))),
    );
}

async function chat(session: Session, wanted: string | undefined, options: ChatOptions): Promise<number> {
  const processId = wanted ?? (await start(session, options));
  try {
    // Somebody has left while it was being started.
    if (session.interrupts.first !== undefined) return session.interrupts.first.exitCode;
    return await converse(session, processId, options);
  } finally {
    if (wanted === undefined && !options.keep) await stop(session, processId);
    else if (wanted === undefined) session.notice(`the agent goes on: hl-client claude chat ${processId}`);
  }
}

async function converse(session: Session, processId: string, { thinking }: ChatOptions): Promise<number> {
  const { json, out, ports, interrupts } = session;
  const show = { showThinking: thinking };
  if (!json && out.isTerminal && ports.stdin().isTTY === true) {
    const atTerminal = new Chat(session, processId, (self) => new TerminalFront(session, self, show));
    interrupts.endInOrder(({ exitCode: code }) => atTerminal.leave(code));
    session.notice(`talking with ${escapeLine(processId)}; /help says how, Ctrl-D leaves`);
    return (await atTerminal.run()) ?? exitCode.ok;
  }
  const front = new LineFront(session, show);
  const piped = new Chat(session, processId, () => front);
  interrupts.endInOrder(({ exitCode: code }) => {
    front.close();
    if (!piped.turnInFlight) {
      piped.leave(code);
      return;
    }
    session.notice("interrupting … (once more to leave at once)");
    piped.interrupt();
  });
  const left = await piped.run();
  return left ?? interrupts.first?.exitCode ?? (front.failed ? exitCode.failed : exitCode.ok);
}

async function start(session: Session, options: ChatOptions): Promise<string> {
  const { interrupts, json } = session;
  using connection = await session.connect();
  // Who leaves now waits for the id: nobody else could stop the agent.
  interrupts.endInOrder(() =>
    session.notice("the agent is being started: waiting for it (once more to leave at once)"),
  );
  try {
    const started = await connection.call("claude/start", startParams(options));
    if (json) session.printJson(started);
    return started.process_id;
  } catch (error) {
    if (session.signal.aborted) session.notice("the agent may have been started: see hl-client claude list");
    throw error;
  }
}

/** What failed before is what the user has to know; an agent that could not be stopped is said beside it. */
async function stop(session: Session, processId: string): Promise<void> {
  try {
    using connection = await session.connect();
    await connection.call("claude/stop", { process_id: processId });
  } catch (error) {
    const { message, errorType } = tell(error);
    if (errorType === "claude_process_unknown") return;
    session.notice(`the agent ${processId} was not stopped${message === "" ? "" : `: ${message}`}`);
  }
}
