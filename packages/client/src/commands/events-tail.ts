import { storedEvent, type StoredEvent } from "@hl/protocol/methods/event-subscribe.ts";
import type { Command } from "commander";
import * as z from "zod";
import { collect, parsers, verb, type Cli } from "../cli.ts";
import type { Connection } from "../connect/connection.ts";
import { persist, untilClosed } from "../connect/persist.ts";
import { escapeLine } from "../render/escape.ts";
import type { Tone } from "../render/paint.ts";
import type { Session } from "../session.ts";

const tailOptions = z.object({ after: z.number().optional(), type: z.array(z.string()).optional() });
const gap = z.object({ from: z.number(), to: z.number() });

export function addEventsTail(parent: Command, cli: Cli): void {
  verb(parent, "tail", "print events as they are accepted, until Ctrl-C")
    .option("--after <number>", "begin behind this sequence number; 0 is everything that is kept", parsers.wholeNumber)
    .option("--type <type>", "only this type; may be repeated", collect)
    .action((_options, command: Command) =>
      cli.run(command, (session) => {
        const { after, type } = tailOptions.parse(command.opts());
        return new EventTail(session, after, type).run();
      }),
    );
}

/** Follows over lost connections; a sequence number means nothing in another epoch, so there it begins anew (S3). */
class EventTail {
  readonly #session: Session;
  readonly #types: string[] | undefined;
  #after: number | undefined;
  #epoch: string | undefined;

  constructor(session: Session, after: number | undefined, types: string[] | undefined) {
    this.#session = session;
    this.#after = after;
    this.#types = types;
  }

  run(): Promise<never> {
    return persist(this.#session.persistence, async (connection, progress) => {
      await this.#subscribe(connection, progress);
      return untilClosed(connection);
    });
  }

  async #subscribe(connection: Connection, progress: () => void): Promise<void> {
    const stop = new AbortController();
    const signal = AbortSignal.any([stop.signal, this.#session.signal]);
    const onNotification = (method: string, params: unknown): void => {
      if (stop.signal.aborted) return;
      progress();
      this.#take(connection, method, params);
    };
    const answer = await connection.call(
      "event/subscribe",
      { types: this.#types, after: this.#after },
      { onNotification, signal },
    );
    progress();
    const begunAnew = this.#epoch !== undefined && this.#epoch !== answer.epoch;
    this.#epoch = answer.epoch;
    // What comes from now on is not missed, even if nothing has come yet when the connection is lost.
    this.#after ??= answer.next_seq - 1;
    if (!begunAnew) return;
    this.#session.notice("the event database began anew: events of the new epoch follow from its start");
    stop.abort(new Error("another epoch"));
    this.#after = 0;
    await this.#subscribe(connection, progress);
  }

  #take(connection: Connection, method: string, params: unknown): void {
    if (method === "event/gap") {
      const { from, to } = gap.parse(params);
      this.#after = to;
      if (this.#session.json) this.#session.printJson({ from, to });
      else this.#session.notice(`events ${from} to ${to} are missing here: they are no longer kept`);
      return;
    }
    if (method !== "event/event") return;
    const parsed = storedEvent.safeParse(params);
    if (!parsed.success) {
      this.#session.notice(
        "an event was skipped that this hl-client cannot read; `hl-client --version` may be too old",
      );
      return;
    }
    this.#after = parsed.data.seq;
    if (this.#print(parsed.data)) return;
    connection.peer.pause();
    void this.#session.out.drained(this.#session.signal).then(() => connection.peer.resume());
  }

  #print(event: StoredEvent): boolean {
    const { json, out, paint } = this.#session;
    if (json) return this.#session.printJson(event);
    const time = new Date(event.timestamp * 1000).toISOString();
    const text = escapeLine(JSON.stringify(event.data ?? null));
    const severity = paint(toneBySeverity[event.severity], event.severity.padEnd(8));
    return out.line(`${paint("faint", `${time} ${event.seq}`)} ${severity} ${escapeLine(event.event_type)} ${text}`);
  }
}

const toneBySeverity: Readonly<Record<StoredEvent["severity"], Tone>> = {
  info: "plain",
  warning: "warning",
  error: "bad",
  critical: "bad",
};
