/**
 * Every parser that reads what somebody else has written: local callers, the cloud, agents, hl-runner, whoever wrote the configuration. Each says
 * what holds for any bytes, beside that it comes back.
 */
import assert from "node:assert/strict";
import * as z from "zod";
import { loadConfig } from "@hl/config/load.ts";
import { networkEntryMatches, parseNetworkEntry } from "@hl/config/networks.ts";
import { passedHeaders } from "@hl/core/raw-headers.ts";
import { LineSplitter } from "@hl/core/rpc/line-splitter.ts";
import { parseInput } from "@hl/core/rpc/message.ts";
import { Peer } from "@hl/core/rpc/peer.ts";
import type { Transport, TransportReceiver } from "@hl/core/rpc/transport.ts";
import type { AgentEvent } from "@hl/daemon/claude/agent.ts";
import { AgentFailure } from "@hl/daemon/claude/agent.ts";
import { protocolOf } from "@hl/daemon/claude/protocols.ts";
import { cloudErrorIn } from "@hl/daemon/cloud/http.ts";
import { retryAfterMs } from "@hl/daemon/cloud/retry-after.ts";
import { facesOf } from "@hl/daemon/network/addresses.ts";
import { destinationText, hostHeader, parseAuthority, parsePlainTarget } from "@hl/daemon/network/destination.ts";
import { encodeFrame, FrameReader, tag } from "@hl/daemon/runner/frames.ts";
import { endRecord, endRecordOfFile } from "@hl/daemon/runner/records.ts";
import { HlError } from "@hl/protocol/errors.ts";
import { linkSettingsSchema } from "@hl/protocol/link-settings.ts";
import { parseParams } from "@hl/protocol/method.ts";
import { daemonMethods } from "@hl/protocol/methods.ts";
import { cloudMethods } from "@hl/protocol/methods/vm.ts";
import { ManualClock } from "@hl/testkit/manual-clock.ts";
import { escapeLine, escapeText } from "@hl/client/render/escape.ts";
import { randomOf } from "./mutate.ts";
import { bytesOf, valueOf } from "./value.ts";
import type { Target } from "./fuzzer.ts";

const methods = Object.values(daemonMethods);
const answers = [...Object.values(cloudMethods).map(({ result }) => result), linkSettingsSchema];
/** Top-level names of a schema. */
const keysOf = (schema: z.ZodType): string[] => (schema instanceof z.ZodObject ? Object.keys(schema.shape) : []);
const keys = [
  ...new Set([
    ...[...methods.map(({ params }) => params), ...answers].flatMap(keysOf),
    ...["type", "tool", "message", "content", "__proto__", "constructor", ""],
  ]),
].slice(0, 230);
const texts = [
  ...[
    "",
    "a",
    "user",
    "utf8",
    "base64",
    "eA==",
    "/",
    "../..",
    "a/b",
    "text\0",
    "\ud800",
    "pipe",
    "allow",
    "deny",
    "info",
    "0644",
  ],
  ...[
    "3b241101-e2bb-4255-8caf-4136c566a962",
    "x".repeat(5_000),
    "SIGTERM",
    "pending",
    "acp",
    "stdout",
    "2026-01-01T00:00:00Z",
  ],
];

export const targets: Readonly<Record<string, Target>> = {
  messages: {
    promise:
      "any text is messages or says what is wrong, in a form that can be sent; lines are the same however the bytes are cut",
    seeds: [
      '{"jsonrpc":"2.0","id":1,"method":"system/ping"}\n[{"jsonrpc":"2.0","id":"a","result":{}},{"jsonrpc":"2.0","method":"x"}]\n',
      '{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"m","data":{}}}\r\n\n{"id":1.5}\n[]\n"text"\n1\n',
      `${"[".repeat(70)}${"]".repeat(70)}\n`,
    ],
    words: [
      '{"jsonrpc":"2.0"',
      '"id":',
      '"method":',
      '"params":',
      '"error":{"code":',
      '"result":',
      '"authorization":',
      "[{",
      "}]\n",
    ],
    run: (input) => {
      const lines = linesOf(input, []);
      assert.deepEqual(linesOf(input, cutsOf(input)), lines);
      for (const line of lines) {
        for (const message of parseInput(line).messages) {
          if (message.kind === "invalid") assert.doesNotThrow(() => JSON.stringify(message.error));
        }
      }
    },
  },
  parameters: {
    promise: "parameters are taken, or refused with an error of the table that says where",
    seeds: methods.map((method, index) =>
      Buffer.concat([Buffer.from([index]), bytesOf(keys, keysOf(method.params), texts)]),
    ),
    words: [],
    run: (input) => {
      const method = methods[(input[0] ?? 0) % methods.length];
      if (method === undefined) return;
      try {
        parseParams(method, valueOf(input.subarray(1), keys, texts));
      } catch (error) {
        assert.ok(error instanceof HlError, String(error));
        assert.ok(error.message.startsWith(`${method.name}: `) && error.message.length < 10_000);
        assert.doesNotThrow(() => JSON.stringify(error.facts));
      }
    },
  },
  results: {
    promise: "what the cloud answers is what its schema says, or is refused",
    seeds: answers.map((schema, index) => Buffer.concat([Buffer.from([index]), bytesOf(keys, keysOf(schema), texts)])),
    words: [],
    run: (input) => {
      const schema = answers[(input[0] ?? 0) % answers.length];
      const outcome = schema?.safeParse(valueOf(input.subarray(1), keys, texts));
      if (outcome?.success === true) assert.doesNotThrow(() => JSON.stringify(outcome.data));
    },
  },
  connection: {
    promise: "a peer answers or ignores whatever the other side says, and goes on",
    seeds: [
      '{"jsonrpc":"2.0","id":1,"method":"system/ping"}\n{"jsonrpc":"2.0","method":"$/cancelRequest","params":{"id":1}}',
      '{"jsonrpc":"2.0","id":0,"result":{"settings":{}}}\n{"jsonrpc":"2.0","method":"vm/settings","params":{"heartbeat_interval":30}}',
      '{"jsonrpc":"2.0","id":0,"error":{"code":1003,"message":"later","data":{"retry_after_ms":5}}}',
    ],
    words: [
      '{"jsonrpc":"2.0"',
      '"id":0',
      '"id":"',
      '"result":',
      '"error":',
      '"method":"$/cancelRequest"',
      '"request_id":',
      "\n",
    ],
    run: (input) => {
      let receiver: TransportReceiver | undefined;
      const transport: Transport = {
        open: (to) => void (receiver = to),
        send: async () => {},
        pause: () => {},
        resume: () => {},
        close: () => {},
      };
      const peer = new Peer({ transport, clock: new ManualClock() }).open();
      peer.request("vm/hello", {}).catch(() => {});
      for (const line of input.toString("utf8").split("\n")) receiver?.message(line);
      assert.equal(peer.isClosed, false);
    },
  },
  cloud: {
    promise: "an error of the cloud is read or is none; a wait that it asks for is a number within bounds",
    seeds: [
      '0{"registration_id":"r","access_token":"a","refresh_token":"b","expires_in":3600,"settings":{"heartbeat_interval":30}}',
      '1{"jsonrpc":"2.0","id":1,"error":{"code":1001,"message":"no","data":{"retry":"backoff"}}}',
      "2120",
      "2Wed, 21 Oct 2015 07:28:00 GMT",
      '3{"lanes":{"critical":5},"epoch":"e"}',
    ],
    words: [
      '"expires_in":',
      '"error":{"code":',
      '"settings":',
      '"lanes":',
      "GMT",
      "Mon, 01 Jan",
      "99999999999999999999",
      "-1",
    ],
    run: (input) => {
      const text = input.subarray(1).toString("utf8");
      const wait = retryAfterMs({ retryAfter: text, date: text.slice(0, 29) }, 60_000, 1_000);
      assert.ok(wait === undefined || (wait >= 1_000 && wait <= 60_000), String(wait));
      const error = cloudErrorIn(text);
      assert.ok(error === undefined || error instanceof Error);
    },
  },
  configuration: {
    promise: "a file is a configuration, or a list of problems each of which names its place",
    seeds: [
      '0{"cloud_api":{"base_url":"https://a.example","rate_limiting":{"burst_limit":5}},"security":{"file_access":{"allowed_paths":["/a","b"]}}}',
      '0{"// c":"x","process_management":{"environment":{"A":"${A:-b}"},"resource_limits":{"max_memory_mb":64}}}',
      '1{"authorization":{"permissions":{"ops":["file:read"]}},"network_security":{"tls_config":{"pin_hashes":["sha256:AAAA"]}}}',
      '2{"level":"warning","levels":{"cloud":"DEBUG"},"max_size":"10MB"}',
      '0{"claude_integration":{"approvals":{"rules":[{"tool":"Bash","pattern":"a*","decision":"allow"}]}}}',
    ],
    words: [
      '{"',
      '":',
      '"${',
      ":-}",
      '"// ',
      "cloud_api",
      "security",
      "local_api",
      "true",
      "1e3",
      '"5m"',
      '"10MB"',
      "[",
      "]",
    ],
    run: (input) => {
      const names = ["daemon.json", "security.json", "logging.json", "api-endpoints.json"];
      const name = names[(input[0] ?? 0) % names.length] ?? "";
      const loaded = loadConfig({
        home: "/fuzz",
        env: { A: "1", VM_INSTANCE_ID: "v" },
        readFile: (path) => {
          if (path.endsWith(`/${name}`)) return input.subarray(1);
          throw Object.assign(new Error("no file"), { code: "ENOENT" });
        },
      });
      if (loaded.ok) return;
      assert.ok(loaded.problems.length > 0);
      for (const { file, message } of loaded.problems) assert.ok(file !== "" && message !== "");
    },
  },
  networks: {
    promise: "what is taken for an address or a place is the same place when it is written down and read again",
    seeds: [
      "a.example:443",
      "[2001:db8::1]:80",
      "::ffff:10.0.0.1",
      "64:ff9b::7f00:1",
      "*.example.com",
      "10.0.0.0/8",
      "http://h:1/p?q",
      "0x7f.1",
      "1.2.3.4.",
    ],
    words: ["::", "ffff:", "/8", ":65536", ":0", "[", "]", "%eth0", "*.", "127.0.0.1", "http://", "2002:", "xn--"],
    run: (input) => {
      const text = input.toString("latin1");
      const entry = parseNetworkEntry(text);
      if (entry !== undefined) assert.equal(typeof networkEntryMatches(entry, entry.host, entry.port ?? 1), "boolean");
      for (const face of facesOf(text) ?? []) assert.ok(facesOf(face) !== undefined, face);
      const place = parseAuthority(text);
      if (place !== undefined) assert.deepEqual(parseAuthority(destinationText(place)), place);
      const target = parsePlainTarget(text);
      if (target !== undefined) {
        assert.ok(target.path.startsWith("/") && !/[\r\n]/.test(hostHeader(target)));
        assert.deepEqual(parseAuthority(hostHeader(target), 80), { host: target.host, port: target.port });
      }
      passedHeaders(text.split("\n"));
    },
  },
  runner: {
    promise: "frames are the same however they are cut; what no shim can have sent is a RangeError and nothing else",
    seeds: [
      encodeFrame(7, [
        [tag.reason, "exited"],
        [tag.exitCode, 3],
        [tag.position, 100],
        [tag.stdoutBytes, 60],
      ]),
      Buffer.concat([
        encodeFrame(2, [[tag.pid, 5]]),
        encodeFrame(3, [
          [tag.memoryPeakKb, 1],
          [tag.usageSource, "cgroup"],
        ]),
      ]),
      Buffer.from([1, 0, 0, 0, 9]),
    ],
    words: ["exited", "timeout", "\x08\0\0\0", "\xff\xff\xff\xff", "\x01\0\0\0"],
    run: (input) => {
      const read = (chunks: readonly Buffer[]): unknown => {
        const reader = new FrameReader();
        try {
          return chunks.flatMap((chunk) => reader.push(chunk).map(({ type, fields }) => [type, endRecord(fields)]));
        } catch (error) {
          assert.ok(error instanceof RangeError, String(error));
          return "refused";
        }
      };
      assert.deepEqual(read(piecesOf(input)), read([input]));
      try {
        endRecordOfFile(input);
      } catch (error) {
        assert.ok(error instanceof RangeError, String(error));
      }
    },
  },
  "agent-stream-json": agentTarget("stream-json", [
    '{"type":"system","subtype":"init","session_id":"s","model":"m"}\n{"type":"assistant","message":{"content":[{"type":"text","text":"x"}]},"session_id":"s"}\n',
    '{"type":"result","subtype":"success","is_error":false,"result":"x","usage":{"input_tokens":1},"session_id":"s","user_message_uuid":"u"}\n',
    '{"type":"control_request","request_id":"r","request":{"subtype":"can_use_tool","tool_name":"Bash","input":{"command":"ls"}}}\n',
    '{"type":"control_response","response":{"subtype":"success","request_id":"1","response":{}}}\nnoise\n{"type":"stream_event","event":{"type":"content_block_delta","delta":{"type":"text_delta","text":"d"}}}\n',
  ]),
  "agent-jsonrpc": agentTarget("jsonrpc", [
    '{"jsonrpc":"2.0","id":"1","result":{"status":"ok"}}\n{"jsonrpc":"2.0","method":"message/event","params":{"type":"delta","data":{"text":"x"}}}\n',
    '{"jsonrpc":"2.0","id":"1","error":{"code":-32000,"message":"m"}}\n{"jsonrpc":"2.0","id":7,"method":"permission/request","params":{"tool_name":"Bash","input":{}}}\n',
  ]),
  "agent-acp": agentTarget("acp", [
    '{"jsonrpc":"2.0","id":"1","result":{"protocolVersion":1,"agentCapabilities":{"loadSession":true},"agentInfo":{"name":"a","version":"1"}}}\n',
    '{"jsonrpc":"2.0","method":"session/update","params":{"sessionId":"s","update":{"sessionUpdate":"agent_message_chunk","content":{"type":"text","text":"x"}}}}\n',
    '{"jsonrpc":"2.0","id":3,"method":"session/request_permission","params":{"sessionId":"s","toolCall":{"toolCallId":"t","title":"x"},"options":[{"optionId":"o","kind":"allow_once","name":"n"}]}}\n',
  ]),
  terminal: {
    promise: "nothing that the other side wrote moves a cursor, names a window or turns the direction of a line",
    seeds: ["plain\n\ttext", "\u001b]0;title\u0007", "\u202eevil", "\u009b31m", "a\u2028b"],
    words: ["\u001b[", "\u0007", "\u202e", "\u2066", "\ud800", "\r"],
    run: (input) => {
      const text = input.toString("utf8");
      assert.doesNotMatch(escapeLine(text), /[\p{Cc}\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
      assert.doesNotMatch(escapeText(text), /[^\P{Cc}\n\t]|[\u202a-\u202e\u2066-\u2069\u2028\u2029]/u);
    },
  },
};

/** Fed in pieces or at once, an agent's words are the same events; and no word of it ends the engine. */
function agentTarget(name: string, seeds: readonly string[]): Target {
  const heard = (chunks: readonly Buffer[]): unknown[] => {
    const events: AgentEvent[] = [];
    let id = 0;
    const engine = protocolOf(name).engine({
      write: () => {},
      endInput: () => {},
      clock: new ManualClock(),
      newId: () => String((id += 1)),
      lineBytesMax: 4_096,
      onEvent: (event) => void events.push(event),
      session: { id: "s", workspacePath: "/w", resume: false, known: false },
    });
    const ignore = (): void => {};
    engine.initialize(undefined).catch(ignore);
    engine.relay("hello", { relayId: "u", timeoutMs: 1_000 }).catch((error: unknown) => {
      assert.ok(error instanceof AgentFailure, String(error));
    });
    for (const chunk of chunks) engine.receive(chunk);
    engine.lost(5);
    engine.closed({ code: 0, signal: null, stderrTail: "" });
    return events.map((event) => JSON.parse(JSON.stringify(event)) as unknown);
  };
  return {
    promise: "an agent's words are the same events however they are cut, and none of them ends the engine",
    seeds,
    words: [
      '{"type":"',
      '"subtype":"',
      '"request_id":"',
      '"session_id":',
      '{"jsonrpc":"2.0","id":',
      '"method":"',
      '"params":{',
      '"update":{',
      '"content":[',
      "}\n",
      "\n",
    ],
    run: (input) => assert.deepEqual(heard(piecesOf(input)), heard([input])),
  };
}

function linesOf(input: Buffer, cuts: readonly number[]): string[] {
  const lines: string[] = [];
  const splitter = new LineSplitter({ lineBytesMax: 512, onLine: (bytes) => lines.push(bytes.toString("utf8")) });
  for (const [index, from] of [0, ...cuts].entries()) splitter.push(input.subarray(from, cuts[index] ?? input.length));
  return lines;
}

/** Where the input is cut depends on the input alone. */
function cutsOf(input: Buffer): number[] {
  const random = randomOf(input.length * 31 + (input[input.length >> 1] ?? 0));
  return Array.from({ length: 1 + Math.floor(random() * 5) }, () => Math.floor(random() * (input.length + 1))).sort(
    (a, b) => a - b,
  );
}

function piecesOf(input: Buffer): Buffer[] {
  const cuts = cutsOf(input);
  return [0, ...cuts].map((from, index) => Buffer.from(input.subarray(from, cuts[index] ?? input.length)));
}
