/** What runs, and what it may. */
import { type Enforced, type Pair, unit, whole, live, restart, crossChecks, bothFiles } from "./proofs.ts";

const started: Pair = [live, "claude_integration: whether there are agents, how many, and which program"];
const delays: Pair = [
  "claude/restart-policy",
  "A2: delays double from restart_delay to a minute; after max_restart_attempts",
];
const cut: Pair = [
  "tests/system/agent-transcript",
  "a large tool result is cut with a count, and what is over the limit of an agent is told as a gap",
];
const reconfigured: Pair = ["tests/system/approvals", "SIGHUP: new rules and a new time limit hold at once"];
const commands: Pair = [live, "process_management.max_processes, max_reply_bytes and what finished commands may take"];
const policy: Pair = [live, "process_management.allowed_commands, blocked_commands and environment"];
const pruned: Pair = [
  "commands/retention",
  "P7: by age, by bytes and by number, exactly at each limit, the oldest first",
];
const limit = (key: string): Pair => [live, `process_management.${key}`];

export const workRows: Readonly<Record<string, Enforced>> = {
  "daemon.json:/claude_integration/enabled": whole("claude/agents.ts", started),
  "daemon.json:/claude_integration/binary_path": whole("claude/launch.ts", started),
  "daemon.json:/claude_integration/config_path": whole("claude/agent-launcher.ts", [
    "tests/system/agent-folders",
    "X1: claude_integration.config_path is readable to agents, another folder is not",
  ]),
  "daemon.json:/claude_integration/protocol": whole("claude/probe.ts", [
    "tests/system/agent-jsonrpc",
    "A1, A2, P3: start, relay, a crash in a turn",
  ]),
  "daemon.json:/claude_integration/args": whole("claude/launch.ts", [
    "tests/agents/acp",
    "a third agent, qwen-code: a conversation with a tool",
  ]),
  "daemon.json:/claude_integration/environment": whole("claude/agent-launcher.ts", [
    "tests/system/agent",
    "A1: start, relay, stop: the turn is answered",
  ]),
  "daemon.json:/claude_integration/key_proxy": whole("compose/key-proxy.ts", [
    "tests/agents/key-proxy",
    "without the proxy the same tool finds the key",
  ]),
  "daemon.json:/claude_integration/start_timeout_seconds": whole("claude/agent-launcher.ts", [
    "tests/system/agent-bad-start",
    "1201 with the last lines of stderr",
  ]),
  "daemon.json:/claude_integration/stdio_timeout": unit("claude/handlers.ts", [
    "tests/system/agent",
    "A1: a relay that is not answered in time is 1203, and the next one works",
  ]),
  "daemon.json:/claude_integration/restart_on_failure": unit("claude/restart-policy.ts", [
    "claude/supervised-agent",
    "A2: with restart_on_failure off it has ended, and a start that fails is not tried again",
  ]),
  "daemon.json:/claude_integration/max_restart_attempts": unit("claude/restart-policy.ts", delays),
  "daemon.json:/claude_integration/restart_delay": unit("claude/restart-policy.ts", delays),
  "daemon.json:/claude_integration/health_check_interval": unit("claude/liveness.ts", [
    "claude/liveness",
    "an interval and a time for an answer that change hold from the next round on",
  ]),
  "daemon.json:/claude_integration/ping_timeout_seconds": unit("claude/liveness.ts", [
    "claude/liveness",
    "an interval and a time for an answer that change hold from the next round on",
  ]),
  "daemon.json:/claude_integration/memory_alert_mb": unit("claude/agent-watch.ts", [
    "claude/supervised-agent",
    "memory of an agent's tree is seen at each ping, and told when it passes the limit",
  ]),
  "daemon.json:/claude_integration/max_agents": unit("claude/agents.ts", [
    "claude/supervised-agent",
    "a session has one process: a start that would go on with that of a live agent is refused, and starts count as agents",
  ]),
  "daemon.json:/claude_integration/communication/buffer_size": unit(
    "claude/agents.ts",
    ["claude/agents", "P5: an agent is read in pieces of readBytesMax, and a message over many of them is one"],
    ["runner/program-output", "reads no more at a time than readBytesMax, and loses nothing by it"],
  ),
  "daemon.json:/claude_integration/communication/message_delimiter": whole("claude/agent-input.ts", [
    "tests/system/agent-messages",
    "messages end with message_delimiter",
  ]),
  "daemon.json:/claude_integration/communication/encoding": whole(
    "packages/config/src/sections/claude-integration.ts",
    [crossChecks, "messages to agents are UTF-8 and not compressed, and nothing else is taken for granted"],
  ),
  "daemon.json:/claude_integration/communication/compression": whole(
    "packages/config/src/sections/claude-integration.ts",
    [crossChecks, "messages to agents are UTF-8 and not compressed, and nothing else is taken for granted"],
  ),
  "daemon.json:/claude_integration/communication/max_message_bytes": unit("claude/agents.ts", [
    "claude/stream-json-events",
    "P7: a result longer than lineBytesMax is skipped, and the relay ends saying so",
  ]),
  "daemon.json:/claude_integration/communication/max_queued_messages": whole("claude/agents.ts", [
    "tests/system/agent-bad-start",
    "A1: 1203 where the answer to a message comes too late, which reaches nobody, and 1205 where too many wait",
  ]),
  "daemon.json:/claude_integration/approvals/timeout_seconds": whole("compose/approvals.ts", reconfigured),
  "daemon.json:/claude_integration/approvals/default": unit("compose/approvals.ts", [
    "approvals/approvals",
    "A3: nobody answers in time: the default holds, but never for a question to a person",
  ]),
  "daemon.json:/claude_integration/approvals/rules": whole("compose/approvals.ts", reconfigured),
  "daemon.json:/claude_integration/transcript/max_bytes": whole("compose/transcripts.ts", cut),
  "daemon.json:/claude_integration/transcript/max_event_bytes": whole("compose/transcripts.ts", cut),

  "daemon.json:/process_management/max_processes": whole("commands/commands.ts", commands),
  "daemon.json:/process_management/process_timeout": whole("commands/plan.ts", limit("process_timeout")),
  "daemon.json:/process_management/idle_timeout": whole("commands/plan.ts", limit("idle_timeout")),
  "daemon.json:/process_management/stop_grace_seconds": whole("commands/plan.ts", [
    live,
    "process_management.stop_grace_seconds: so long a command that is ended may take for it",
  ]),
  "daemon.json:/process_management/cleanup_interval": unit("commands/retention.ts", [
    "commands/retention",
    "pruner: at its start, every interval, and at once when asked",
  ]),
  "daemon.json:/process_management/finished_retention_seconds": whole("commands/retention.ts", [
    "tests/system/lessons-state",
    "lesson 23: P7: finished commands go after their retention",
  ]),
  "daemon.json:/process_management/finished_retention_commands": whole("commands/retention.ts", commands),
  "daemon.json:/process_management/finished_retention_bytes": unit("commands/retention.ts", pruned),
  "daemon.json:/process_management/log_bytes_max": whole("commands/plan.ts", limit("log_bytes_max")),
  "daemon.json:/process_management/max_reply_bytes": whole("commands/handlers.ts", commands),
  "daemon.json:/process_management/workspace_idle_seconds": whole("workspace/workspace.ts", [
    "tests/system/files",
    "it is started by the first call, once for many at a time, stopped when idle, and started again",
  ]),
  "daemon.json:/process_management/default_user": whole("compose/runner.ts", [
    "tests/vm/limits",
    "says what is enforced",
  ]),
  "daemon.json:/process_management/runner_directory": whole("compose/runner.ts", [
    "tests/system/upgrade",
    "twice: the command goes on, its output is whole",
  ]),
  "daemon.json:/process_management/runner_state_directory": whole("compose/runner.ts", [
    "tests/system/upgrade",
    "twice: the command goes on, its output is whole",
  ]),
  "daemon.json:/process_management/temp_dir": whole("commands/plan.ts", [
    restart,
    "process_management.temp_dir and the first of allowed_paths",
  ]),
  "daemon.json:/process_management/environment": whole("commands/plan.ts", policy),
  "daemon.json:/process_management/resource_limits/max_child_processes": whole(
    "commands/plan.ts",
    limit("resource_limits.max_child_processes"),
  ),
  "daemon.json:/process_management/resource_limits/max_memory_mb": whole(
    "commands/plan.ts",
    limit("resource_limits.max_memory_mb"),
    ["tests/system/limits", "P2: who takes more memory than max_memory_mb ends with reason oom"],
  ),
  "daemon.json:/process_management/resource_limits/max_cpu_percent": whole("commands/plan.ts", [
    "tests/vm/limits",
    "holds a busy command to its share of the processors",
  ]),
  "daemon.json:/process_management/resource_limits/max_open_files": whole(
    "commands/plan.ts",
    limit("resource_limits.max_open_files"),
  ),
  "daemon.json:/process_management/resource_limits/max_execution_time": whole(
    "commands/plan.ts",
    limit("resource_limits.max_execution_time"),
  ),
  "daemon.json:/process_management/allowed_commands": whole("commands/policy.ts", policy),
  "daemon.json:/process_management/blocked_commands": whole("commands/policy.ts", policy),

  "daemon.json:/security/sandbox_mode": whole("commands/plan.ts", [
    "tests/attacks/attacks",
    "X1: with sandbox_mode off the attacks are real",
  ]),
  "daemon.json:/security/tls_version": whole("packages/config/src/tls-policy.ts", bothFiles),
  "daemon.json:/security/certificate_validation": whole("packages/config/src/tls-policy.ts", [
    crossChecks,
    "a blocked cloud, or one that nobody verifies, is a problem",
  ]),
  "daemon.json:/security/allowed_networks": whole("network/daemon-networks.ts", [
    "tests/system/link-networks",
    "X1: an endpoint that the cloud names elsewhere is reached where security.allowed_networks names it",
  ]),
  "daemon.json:/security/blocked_networks": whole("network/daemon-networks.ts", [
    "tests/system/link-networks",
    "X1: an allowed name that leads to a blocked address is not connected to",
  ]),
  "daemon.json:/security/file_access/allowed_paths": whole("sandbox/rules.ts", [
    restart,
    "process_management.temp_dir and the first of allowed_paths",
  ]),
  "daemon.json:/security/file_access/blocked_paths": whole("sandbox/rules.ts", [
    "tests/system/files",
    "X1: a blocked path inside an allowed one is not read, listed, moved along or removed with its folder",
  ]),
  "daemon.json:/security/sandbox/network": whole("commands/plan.ts", [
    "tests/system/egress",
    "X1: with network none there is a loopback of its own and nothing else",
  ]),
  "daemon.json:/security/sandbox/agent_network": whole("compose/enforceable.ts", [
    "tests/system/egress",
    "it is said what is enforced: system/info, status, and a dry run",
  ]),
  "daemon.json:/security/sandbox/proxy_allowed_hosts": whole("egress/egress-policy.ts", [
    "tests/system/egress",
    "what the list names is reached: by curl in the clear and through a tunnel, and by git",
  ]),
  "daemon.json:/security/sandbox/read_only_paths": whole("commands/plan.ts", [
    "tests/system/sandbox-tools",
    "node --test runs tests in processes of their own",
  ]),
  "daemon.json:/security/sandbox/allow_namespaces": unit("commands/plan.ts", [
    "commands/plan",
    "X1: commands and agents get the network that is configured for them",
  ]),
};
