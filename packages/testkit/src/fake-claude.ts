/**
 * The other end of the stream-json protocol in a test: takes the lines an adapter writes, and says what the test tells it to, in the
 * shapes recorded from Claude Code 2.1.330. Like the real one it does not survive a line that is no JSON.
 */

/** A message of any shape; assertions judge it. */
// eslint-disable-next-line @typescript-eslint/no-explicit-any
export type Message = any;

export class FakeClaude {
  /** Everything the adapter has written, parsed. */
  readonly sent: Message[] = [];
  readonly #receive: (chunk: Uint8Array) => void;

  constructor(receive: (chunk: Uint8Array) => void) {
    this.#receive = receive;
  }

  /** To be the adapter's `write`. */
  take(line: string): void {
    if (!line.endsWith("\n") || line.indexOf("\n") !== line.length - 1)
      throw new Error(`Not one line: ${JSON.stringify(line)}`);
    this.sent.push(JSON.parse(line));
  }

  /** The user messages among what was written. */
  get prompts(): Message[] {
    return this.sent.filter((message) => message.type === "user");
  }

  /** The control requests of a subtype among what was written. */
  requests(subtype: string): Message[] {
    return this.sent.filter((message) => message.type === "control_request" && message.request.subtype === subtype);
  }

  /** The answers to permission requests among what was written. */
  get decisions(): Message[] {
    return this.sent.filter((message) => message.type === "control_response").map((message) => message.response);
  }

  say(...messages: object[]): void {
    for (const message of messages) this.#receive(Buffer.from(`${JSON.stringify(message)}\n`));
  }

  /** Answers the newest control request of a subtype. */
  answer(subtype: string, response: object = {}, beside: object = {}): void {
    const request_id = this.requests(subtype).at(-1).request_id;
    this.say({ type: "control_response", response: { subtype: "success", request_id, response, ...beside } });
  }

  lifecycle(uuid: string, state: "queued" | "started" | "completed" | "cancelled"): void {
    this.say({ type: "command_lifecycle", command_uuid: uuid, state, uuid: "l", session_id: "s1" });
  }

  /** The agent begins the newest prompt. */
  start(): void {
    const { uuid } = this.prompts.at(-1);
    this.lifecycle(uuid, "queued");
    this.lifecycle(uuid, "started");
    this.say({ type: "system", subtype: "init", session_id: "s1", tools: ["Bash"], model: "m" });
  }

  /** The agent ends the newest prompt the way it does: first the result, then the lifecycle. */
  finish(text: string, result: object = {}): void {
    const { uuid } = this.prompts.at(-1);
    const message = { role: "assistant", content: [{ type: "text", text }], stop_reason: null };
    this.say({ type: "assistant", message, parent_tool_use_id: null, session_id: "s1" });
    this.result(uuid, { result: text, ...result });
    this.lifecycle(uuid, "completed");
  }

  result(uuid: string, result: object = {}): void {
    this.say({
      subtype: "success",
      is_error: false,
      stop_reason: "end_turn",
      terminal_reason: "completed",
      num_turns: 1,
      session_id: "s1",
      total_cost_usd: 0.00014,
      usage: { input_tokens: 10 },
      permission_denials: [],
      user_message_uuid: uuid,
      user_message_uuids: [uuid],
      type: "result",
      ...result,
    });
  }

  ask(requestId: string, request: object = {}): void {
    const input = { command: "touch made.txt" };
    const rule = {
      type: "addRules",
      rules: [{ toolName: "Bash", ruleContent: "touch made.txt" }],
      behavior: "allow",
      destination: "localSettings",
    };
    const mode = { type: "setMode", mode: "acceptEdits", destination: "session" };
    this.say({
      type: "control_request",
      request_id: requestId,
      request: {
        subtype: "can_use_tool",
        tool_name: "Bash",
        display_name: "Bash",
        input,
        permission_suggestions: [rule, mode],
        tool_use_id: "t1",
        ...request,
      },
    });
  }
}
