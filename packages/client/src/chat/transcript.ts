/**
 * A conversation as text: an item in, what to write out. It remembers only what the next item needs: what of a message was told piece
 * by piece, and the tools that run. Everything that comes from the agent is escaped here: a terminal obeys nothing of it.
 */
import { gistOf } from "../render/approval.ts";
import { escapeLine, escapeText } from "../render/escape.ts";
import type { Paint } from "../render/paint.ts";
import { duration, plural } from "../render/quantity.ts";
import { displayWidth, fit } from "../render/width.ts";
import type { AgentItem } from "./agent-item.ts";
import type { TurnOutcome } from "./turn-outcome.ts";

export interface TranscriptOptions {
  readonly paint: Paint;
  readonly showThinking: boolean;
  /** Undefined where lines may have any length. */
  readonly columns: () => number | undefined;
}

/** One line without a terminal to be as wide as. */
const lineColumns = 200;
/** Tools that run at once, whose names are remembered for their results. */
const callsMax = 1000;

export class Transcript {
  readonly #options: TranscriptOptions;
  readonly #calls = new Map<string, string>();
  #lastCall: string | undefined;
  /** Of the message that is being told. */
  #streamed = { text: "", thinking: "" };
  /** Text stands on the line and it has not ended. */
  #open: "text" | "thinking" | undefined;
  /** The last that the agent has said as a whole. */
  #said = "";

  constructor(options: TranscriptOptions) {
    this.#options = options;
  }

  item(item: AgentItem): string {
    const { paint } = this.#options;
    switch (item.kind) {
      case "delta":
        return this.#piece(item.of, item.text);
      case "message":
        return this.#message(item);
      case "tool_call":
        return this.#toolCall(item);
      case "tool_result":
        return this.#toolResult(item);
      case "retry": {
        const why = item.status === null ? "did not answer" : `answered ${item.status}`;
        const text = `… the model's API ${why}; attempt ${item.attempt} in ${duration(item.delayMs / 1000)}`;
        return this.#line(paint("warning", text));
      }
      case "gap":
        return this.#line(paint("warning", `… ${plural(item.bytes, "byte")} of what the agent said are missing here`));
      case "skipped":
        return this.#line(paint("warning", `… a line of ${plural(item.bytes, "byte")} was too long and is left out`));
      case "log":
        return this.#line(paint("faint", this.#fitted(`  the agent prints: ${item.text}`)));
      case "notification":
        return this.#line(paint("faint", this.#fitted(`  ${item.method}`)));
      case "other":
        return "";
    }
  }

  /** Something else is about to be written: ends a line of text that has begun. */
  breakLine(): string {
    if (this.#open === undefined) return "";
    this.#open = undefined;
    return "\n";
  }

  /** The end of a turn: what was not told of its answer, its failure, and one line of numbers. */
  end(outcome: TurnOutcome, executionMs: number): string {
    const { paint } = this.#options;
    let text = "";
    const untold = outcome.text.trim() !== "" && outcome.text.trim() !== this.#said.trim();
    if (!outcome.isError && untold) text += this.#message({ text: outcome.text, thinking: "", cut: false });
    text += this.breakLine();
    if (outcome.isError && (outcome.error ?? "").trim() !== this.#said.trim()) {
      text += `${paint("bad", outcome.interrupted ? "interrupted" : `the agent reports an error: ${escapeText(outcome.error ?? "")}`)}\n`;
    }
    this.#streamed = { text: "", thinking: "" };
    this.#said = "";
    return `${text}${paint("faint", summaryOf(outcome, executionMs))}\n`;
  }

  #piece(of: "text" | "thinking", piece: string): string {
    if (piece === "") return "";
    this.#streamed[of] += piece;
    const { paint, showThinking } = this.#options;
    if (of === "thinking" && !showThinking) return "";
    const before = this.#open === undefined || this.#open === of ? "" : "\n";
    this.#open = of;
    const shown = escapeText(piece);
    return before + (of === "thinking" ? paintedLines(shown, paint) : shown);
  }

  /** A message that was told piece by piece is not told again; of one that was told in part, the rest is. */
  #message({ text, thinking, cut }: Omit<Extract<AgentItem, { kind: "message" }>, "kind">): string {
    const { text: streamed } = this.#streamed;
    if (text !== "") this.#said = cut && streamed !== "" ? streamed : text;
    const told = this.#rest("thinking", thinking, cut) + this.#rest("text", text, cut);
    return told + (text !== "" || thinking !== "" ? this.breakLine() : "");
  }

  #rest(of: "text" | "thinking", whole: string, cut: boolean): string {
    if (whole === "") return "";
    const streamed = this.#streamed[of];
    this.#streamed[of] = "";
    if (cut && streamed !== "") return ""; // The pieces are more than what was kept of it.
    let shown: string;
    if (whole.startsWith(streamed)) shown = this.#piece(of, whole.slice(streamed.length));
    else shown = this.breakLine() + this.#piece(of, whole); // Pieces were lost: it is told as a whole.
    this.#streamed[of] = "";
    return shown;
  }

  #toolCall({ id, name, input, bySubagent }: Extract<AgentItem, { kind: "tool_call" }>): string {
    const label = escapeLine(`${name} ${gistOf({ input })}`);
    if (this.#calls.size < callsMax) this.#calls.set(id, label);
    this.#lastCall = id;
    const { paint } = this.#options;
    const mark = bySubagent ? "  ▸ " : "▸ ";
    const line = this.#fitted(`${mark}${name} ${gistOf({ input })}`);
    return this.#line(
      paint("strong", line.slice(0, mark.length + name.length)) + line.slice(mark.length + name.length),
    );
  }

  #toolResult({ id, isError, text }: Extract<AgentItem, { kind: "tool_result" }>): string {
    const { paint } = this.#options;
    const label = this.#calls.get(id);
    this.#calls.delete(id);
    const whose = id === this.#lastCall || label === undefined ? "" : ` (${fit(label, 40)})`;
    const lines = text.trim().split("\n");
    const more = lines.length > 1 ? ` (+${plural(lines.length - 1, "line")})` : "";
    const first = fit(escapeLine(lines[0] ?? ""), Math.max(10, this.#width - displayWidth(whose + more) - 12));
    const verdict = isError ? paint("bad", "error") : paint("good", "ok");
    return this.#line(`  ${verdict}${whose}${first === "" ? "" : `: ${first}`}${paint("faint", more)}`);
  }

  #line(text: string): string {
    return `${this.breakLine()}${text}\n`;
  }

  get #width(): number {
    return this.#options.columns() ?? lineColumns;
  }

  #fitted(text: string): string {
    return fit(escapeLine(text), Math.max(20, this.#width - 1));
  }
}

/** What is known of the turn: `— 2 steps, 120 + 30 tokens, $0.0012 in all, 2.3 s`. */
function summaryOf(outcome: TurnOutcome, executionMs: number): string {
  const { steps, inputTokens, outputTokens, costUsd } = outcome;
  const parts = [
    steps === undefined ? "" : plural(steps, "turn"),
    inputTokens === undefined && outputTokens === undefined ? "" : `${inputTokens ?? 0} + ${outputTokens ?? 0} tokens`,
    costUsd === undefined ? "" : `$${costUsd.toFixed(4)} in all`,
    duration(executionMs / 1000),
  ];
  return `— ${parts.filter((part) => part !== "").join(", ")}`;
}

/** Each line by itself, so that what is written in between has no colour. */
function paintedLines(text: string, paint: Paint): string {
  return text
    .split("\n")
    .map((line) => (line === "" ? "" : paint("faint", line)))
    .join("\n");
}
