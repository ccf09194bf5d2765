/** `claude_integration`: the coding agent, how it is spoken to, and who decides what it may do. */
import * as z from "zod";
import { bytes, choice, count, flag, key, line, path, pathSchema, seconds, section } from "../declare.ts";
import { environmentMap } from "./environment-map.ts";

const rule = z.strictObject({
  tool: line(),
  pattern: line(4096).optional(),
  path: pathSchema.optional(),
  decision: z.enum(["allow", "deny", "ask"]),
});

const approvals = section({
  summary: "The agent's permission requests.",
  keys: {
    timeout_seconds: seconds({
      min: 1,
      default: 3600,
      reload: "live",
      summary: "How long a request waits for a human.",
    }),
    default: choice({
      values: ["deny", "allow"],
      default: "deny",
      reload: "live",
      summary: "Decision on a request that nobody answered in time.",
    }),
    rules: key({
      schema: z.array(rule).max(1000),
      default: [],
      reload: "live",
      summary:
        "Decisions without asking; the first rule that fits holds. `tool`: name of the tool, `*` stands for any characters. " +
        "`pattern`: the same over its command or input. `path`: file or folder that the tool touches. " +
        "`decision`: allow, deny, or ask a human.",
    }),
  },
});

const communication = section({
  summary: "Messages to and from the agent.",
  keys: {
    buffer_size: bytes({
      min: 512,
      max: 64 * 1024,
      default: 8192,
      reload: "restart",
      summary:
        "Largest piece of an agent's output that is read at once. Messages may be longer: they are put together.",
    }),
    message_delimiter: key({
      schema: z.enum(["\n", "\r\n"]),
      default: "\n",
      reload: "restart",
      summary:
        "What ends a message to the agent. From it a newline ends one, with or without a carriage return before it.",
    }),
    encoding: choice({ values: ["utf-8"], default: "utf-8", reload: "restart", summary: "Encoding of messages." }),
    compression: key({
      schema: z.literal(false, "must be false: no agent takes compressed messages"),
      default: false,
      reload: "restart",
      summary: "No agent takes compressed messages, so only false is possible.",
    }),
    max_message_bytes: bytes({
      min: 4096,
      max: 2 ** 30,
      default: 64 * 2 ** 20,
      reload: "live",
      summary: "A longer message is skipped with a marker event, and reading goes on.",
    }),
    max_queued_messages: count({
      min: 1,
      max: 10_000,
      default: 32,
      unit: "messages",
      reload: "live",
      summary: "Messages that wait behind the turn in flight; one more is refused as busy.",
    }),
  },
});

const transcript = section({
  summary: "What agents said and did, kept for claude/subscribe.",
  keys: {
    max_bytes: bytes({
      min: 65_536,
      max: 2 ** 30,
      default: 8 * 2 ** 20,
      reload: "live",
      summary: "Kept of one agent; the oldest goes, and readers are told a gap.",
    }),
    max_event_bytes: bytes({
      min: 1024,
      max: 2 ** 20,
      default: 65_536,
      reload: "live",
      summary:
        "Data of one event; the rest of long texts is cut off and counted. No more than event_streaming.max_event_bytes.",
    }),
  },
});

export const claudeIntegrationSection = section({
  summary: "The coding agent.",
  keys: {
    enabled: flag({ default: true, reload: "live", summary: "Whether agents can be started at all." }),
    binary_path: key({
      schema: pathSchema,
      location: "executable",
      default: "/opt/freestyle/claude-code/bin/claude-code",
      reload: "live",
      summary: "The agent's program: a path, or a bare name that is looked up in PATH.",
    }),
    config_path: path({
      default: "/opt/freestyle/claude-code/config/claude-code.json",
      reload: "live",
      summary: "The agent's own configuration; the sandbox lets the agent read it where it exists.",
    }),
    protocol: choice({
      values: ["auto", "jsonrpc", "stream-json", "acp"],
      default: "auto",
      reload: "live",
      summary: "How the agent is spoken to. `auto` finds out from the program.",
    }),
    args: key({
      schema: z
        .array(
          z
            .string()
            .max(131_072)
            .refine((text) => !text.includes("\0"), "must not contain a NUL character"),
        )
        .max(256),
      default: [],
      reload: "live",
      summary: "Arguments after those that the protocol needs.",
    }),
    environment: environmentMap("Environment variables for the agent, over a clean environment."),
    key_proxy: flag({
      default: true,
      reload: "restart",
      summary:
        "Keep ANTHROPIC_API_KEY and ANTHROPIC_AUTH_TOKEN of `environment` from agents and their tools: they get a token of their own, " +
        "and a proxy of the daemon puts the key into their requests. Not with agent_network `proxy`; where it is not set, it is false there.",
    }),
    start_timeout_seconds: seconds({
      min: 0.1,
      max: 3600,
      default: 30,
      reload: "live",
      summary: "From start to the first answer.",
    }),
    stdio_timeout: seconds({
      min: 0.1,
      max: 86_400,
      default: 30,
      reload: "live",
      summary: "Answer to a message where the request names no timeout.",
    }),
    restart_on_failure: flag({
      default: true,
      reload: "live",
      summary: "Restart an agent that ended without having been asked to, and resume its session.",
    }),
    max_restart_attempts: count({
      max: 1000,
      default: 5,
      unit: "attempts",
      reload: "live",
      summary:
        "Restarts in a row before the agent is given up. One that was ready and has lived for 10 minutes begins a new row.",
    }),
    restart_delay: seconds({
      max: 3600,
      default: 10,
      reload: "live",
      summary: "Before the first restart of a row; doubled before each further one, up to a minute.",
    }),
    health_check_interval: seconds({
      min: 1,
      max: 86_400,
      default: 60,
      reload: "live",
      summary: "Between liveness checks of an agent: whether it answers, and how much memory its tree takes.",
    }),
    ping_timeout_seconds: seconds({
      min: 0.1,
      max: 3600,
      default: 15,
      reload: "live",
      summary:
        "Answer of an agent to a liveness check. One that leaves two in a row unanswered is stuck: it is ended, and restarted as one that died.",
    }),
    memory_alert_mb: count({
      min: 16,
      max: 2 ** 24,
      default: 4096,
      unit: "MiB",
      reload: "live",
      summary:
        "Memory of an agent and all it has started above which that is told (`agent.memory_high`, system/health).",
    }),
    max_agents: count({
      min: 1,
      max: 1000,
      default: 16,
      unit: "processes",
      reload: "live",
      summary: "Agents at once.",
    }),
    communication,
    approvals,
    transcript,
  },
});
