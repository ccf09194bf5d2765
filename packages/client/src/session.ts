import type { Clock } from "@hl/core/clock.ts";
import { openConnection, type Connection } from "./connect/connection.ts";
import type { PersistDeps } from "./connect/persist.ts";
import { chooseTarget, type TargetOptions } from "./connect/target.ts";
import { readTls, type TlsFiles } from "./connect/tls-files.ts";
import type { Interrupts } from "./interrupts.ts";
import type { Ports } from "./ports.ts";
import { escapeText, jsonText } from "./render/escape.ts";
import { paintFor, type Paint } from "./render/paint.ts";
import { renderTable, type Cell, type Column } from "./render/table.ts";
import type { Sink } from "./sink.ts";

export interface SessionOptions extends TargetOptions, TlsFiles {
  readonly json?: boolean | undefined;
  /** Seconds. */
  readonly timeout?: number | undefined;
}

export interface SessionDeps {
  readonly ports: Ports;
  readonly options: SessionOptions;
  readonly interrupts: Interrupts;
  readonly out: Sink;
  readonly err: Sink;
}

/** What one verb works with: where to connect, where to print, when to end. */
export class Session {
  readonly ports: Ports;
  readonly json: boolean;
  readonly interrupts: Interrupts;
  readonly out: Sink;
  readonly err: Sink;
  readonly paint: Paint;
  readonly #options: SessionOptions;

  constructor({ ports, options, interrupts, out, err }: SessionDeps) {
    this.ports = ports;
    this.json = options.json === true;
    this.interrupts = interrupts;
    this.out = out;
    this.err = err;
    this.paint = paintFor(out.isTerminal, ports.env);
    this.#options = options;
  }

  get clock(): Clock {
    return this.ports.clock;
  }

  /** Aborts when the user wants to leave at once. */
  get signal(): AbortSignal {
    return this.interrupts.signal;
  }

  get nowSeconds(): number {
    return this.clock.wallMs() / 1000;
  }

  /** The caller owns the connection. */
  connect(): Promise<Connection> {
    const timeoutMs = this.#options.timeout === undefined ? undefined : this.#options.timeout * 1000;
    const target = chooseTarget(this.#options, this.ports);
    const tls = target.kind === "websocket" ? readTls(this.#options, this.ports) : undefined;
    return openConnection(target, { clock: this.clock, signal: this.signal, timeoutMs, tls });
  }

  /** For conversations that outlive a connection. */
  get persistence(): PersistDeps {
    const { clock, signal } = this;
    return {
      connect: () => this.connect(),
      clock,
      random: this.ports.random,
      signal,
      notice: (text) => this.notice(text),
    };
  }

  /** One document, or one line of a stream of them. */
  printJson(value: unknown): boolean {
    return this.out.line(jsonText(value));
  }

  printTable(columns: readonly Column[], rows: readonly (readonly Cell[])[]): void {
    for (const line of renderTable(columns, rows, this.paint, this.out.columns)) this.out.line(line);
  }

  /** Something the user should know and a program reading standard output should not see. */
  notice(text: string): void {
    this.err.line(this.json ? jsonText({ notice: text }) : `hl-client: ${escapeText(text)}`);
  }
}
