import type { ResultOf } from "@hl/protocol/method.ts";
import { claudeRelay } from "@hl/protocol/methods/claude-relay.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import type { Connection } from "../connect/connection.ts";
import { persist } from "../connect/persist.ts";
import { exitCode } from "../exit-codes.ts";
import { readAll } from "../read-all.ts";
import { agentText, finalAnswer } from "../render/agent-text.ts";
import { escapeText } from "../render/escape.ts";
import type { Session } from "../session.ts";

type Answer = ResultOf<typeof claudeRelay>;

const message = claudeRelay.notifications?.["claude/message"];

export function addClaudeSend(parent: Command, cli: Cli): void {
  verb(parent, "send", "send a message and print what the agent says; Ctrl-C interrupts its turn")
    .argument("<process-id>", "see claude list")
    .argument("<text...>", "the message, or - to read it from standard input")
    .action((processId: string, words: string[], _options, command: Command) =>
      cli.run(command, async (session) => {
        const text =
          words.length === 1 && words[0] === "-"
            ? await readAll(session.ports.stdin(), session.signal)
            : words.join(" ");
        return new Turn(session, processId, text).run();
      }),
    );
}

/** One turn. It has an id, so that a lost connection can ask for its answer again without running it twice. */
class Turn {
  readonly #session: Session;
  readonly #processId: string;
  readonly #text: string;
  readonly #relayId: string;
  #connection: Connection | undefined;
  /** Since the last message that came whole. */
  #deltaPrinted = false;
  #printed = "";

  constructor(session: Session, processId: string, text: string) {
    this.#session = session;
    this.#processId = processId;
    this.#text = text;
    this.#relayId = session.ports.uuid();
  }

  async run(): Promise<number> {
    const { interrupts } = this.#session;
    interrupts.endInOrder(() => {
      this.#session.notice("interrupting … (once more to leave at once)");
      this.#interrupt();
    });
    const answer = await persist(this.#session.persistence, async (connection, progress) => {
      this.#connection = connection;
      if (interrupts.first !== undefined) this.#interrupt();
      const params = { process_id: this.#processId, message: this.#text, relay_id: this.#relayId };
      const onNotification = (method: string, data: unknown): void => {
        progress();
        if (method === "claude/message") this.#take(connection, data);
      };
      return connection.call("claude/relay", params, { onNotification });
    });
    return this.#finish(answer);
  }

  #interrupt(): void {
    const asked = this.#connection?.call("claude/interrupt", { process_id: this.#processId });
    asked?.catch((error: unknown) => {
      if (!this.#session.signal.aborted) this.#session.notice(`the agent could not be interrupted: ${String(error)}`);
    });
  }

  #take(connection: Connection, params: unknown): void {
    const parsed = message?.safeParse(params);
    if (parsed?.success !== true) return;
    const { type, data } = parsed.data as { type: string; data: unknown };
    const { json, out, signal } = this.#session;
    const room = json ? this.#session.printJson(parsed.data) : this.#say(type, data);
    if (room) return;
    connection.peer.pause();
    void out.drained(signal).then(() => connection.peer.resume());
  }

  /** A message that was told piece by piece is not told again as a whole. */
  #say(type: string, data: unknown): boolean {
    const isDelta = type === "delta" || type === "agent.delta";
    if (!isDelta && type !== "message" && type !== "agent.message") return true;
    const text = agentText(data) ?? "";
    if (isDelta) {
      if (text !== "") this.#deltaPrinted = true;
      return this.#print(text);
    }
    if (text === "") return true; // A tool call, thinking or a subagent: it does not end what is being told.
    const told = this.#deltaPrinted;
    this.#deltaPrinted = false;
    return told ? this.#print(this.#printed.endsWith("\n") ? "" : "\n") : this.#print(`${text}\n`);
  }

  #print(text: string): boolean {
    if (text === "") return true;
    this.#printed = text.slice(-1);
    return this.#session.out.write(escapeText(text));
  }

  #finish(answer: Answer): number {
    const { json, interrupts } = this.#session;
    const { text, isError } = finalAnswer(answer.response);
    if (json) this.#session.printJson(answer);
    else if (isError) {
      this.#endLine();
      this.#session.notice(`the agent reports an error: ${text ?? JSON.stringify(answer.response)}`);
    } else {
      if (this.#printed === "") this.#print(text ?? "");
      this.#endLine();
    }
    if (interrupts.first !== undefined) return interrupts.first.exitCode;
    return isError ? exitCode.failed : exitCode.ok;
  }

  #endLine(): void {
    if (this.#printed !== "" && this.#printed !== "\n") this.#print("\n");
  }
}
