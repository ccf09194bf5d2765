import * as z from "zod";
import type { LogName } from "@hl/protocol/methods/system-logs.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { exitCode } from "../exit-codes.ts";
import { logLine } from "../render/log-line.ts";
import type { Session } from "../session.ts";

export interface DaemonLogOptions {
  readonly file: LogName;
  readonly lines: number;
  readonly follow: boolean;
}

/** Behind a lost connection so many are looked through for the last that was printed. */
const linesAgain = 10_000;
const recentMax = 200;
const lineSchema = z.object({ line: z.string() });
const gapSchema = z.object({ lines: z.number() });

export async function daemonLog(session: Session, { file, lines, follow }: DaemonLogOptions): Promise<number> {
  if (follow) return new LogTail(session, file, lines).run();
  using connection = await session.connect();
  const answer = await connection.call("system/logs", { file, lines });
  const view = new LogView(session);
  if (answer.omitted) view.notice(`only the newest ${answer.lines.length} lines fit into an answer: ${answer.path}`);
  for (const line of answer.lines) if (!view.print(line)) await session.out.drained(session.signal);
  return exitCode.ok;
}

class LogView {
  readonly #session: Session;

  constructor(session: Session) {
    this.#session = session;
  }

  notice(text: string): void {
    this.#session.notice(text);
  }

  /** False when the reader should be waited for. As JSON the line is passed on as it is. */
  print(line: string): boolean {
    const { json, out, paint } = this.#session;
    return out.line(json ? line : logLine(line, paint));
  }
}

/** Follows over lost connections: what was written meanwhile is in the file. */
class LogTail {
  readonly #session: Session;
  readonly #view: LogView;
  readonly #file: LogName;
  readonly #lines: number;
  /** Printed last, oldest first. A crash may take the newest of them out of the file before they are in it. */
  #recent: string[] = [];

  constructor(session: Session, file: LogName, lines: number) {
    this.#session = session;
    this.#view = new LogView(session);
    this.#file = file;
    this.#lines = lines;
  }

  run(): Promise<never> {
    return persist(this.#session.persistence, async (connection, progress) => {
      // What comes before the answer is behind the lines in it.
      let early: string[] | undefined = [];
      const onNotification = (method: string, params: unknown): void => {
        progress();
        if (method === "system/log_gap") {
          const { lines } = gapSchema.parse(params);
          this.#view.notice(`${lines} lines are missing here; they are in the file`);
        } else if (method === "system/log") {
          const { line } = lineSchema.parse(params);
          if (early === undefined) this.#print(connection, line);
          else early.push(line);
        }
      };
      const lines = this.#recent.length === 0 ? this.#lines : linesAgain;
      const { signal } = this.#session;
      const answer = await connection.call(
        "system/logs",
        { file: this.#file, lines, follow: true },
        { onNotification, signal },
      );
      progress();
      const held = [...this.#new(answer.lines), ...early];
      early = undefined;
      for (const line of held) this.#print(connection, line);
      return untilClosed(connection);
    });
  }

  /** Behind the newest line that is in the file and was printed. */
  #new(lines: readonly string[]): readonly string[] {
    if (this.#recent.length === 0) return lines;
    for (const printed of this.#recent.toReversed()) {
      const at = lines.lastIndexOf(printed);
      if (at >= 0) return lines.slice(at + 1);
    }
    this.#view.notice(`lines may be missing here: more than ${linesAgain} were written meanwhile`);
    return lines;
  }

  #print(connection: Connection, line: string): void {
    this.#recent.push(line);
    if (this.#recent.length >= 2 * recentMax) this.#recent = this.#recent.slice(-recentMax);
    if (this.#view.print(line)) return;
    connection.peer.pause();
    void this.#session.out.drained(this.#session.signal).then(() => connection.peer.resume());
  }
}
