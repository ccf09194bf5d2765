/**
 * Checks that need more than one key, and the few defaults that follow another key. A check that involves a key which is already
 * a problem stays silent: its value is then only a default that nobody wrote.
 */
import { accessChecks } from "./access-checks.ts";
import type { Finding, Trees } from "./finding.ts";
import type { Collection, Entry, TreeName } from "./layer.ts";
import { networkChecks, withCloudHost } from "./network-checks.ts";
import type { Problem } from "./problem.ts";
import type { DaemonConfig, SecurityConfig } from "./schema.ts";
import { reachesKeyProxy, securityChecks } from "./security-checks.ts";
import { tlsChecks, withClientCertificate } from "./tls-checks.ts";

export const crossCheck = (
  daemon: DaemonConfig,
  security: SecurityConfig,
  into: Collection,
): { daemon: DaemonConfig; security: SecurityConfig } => {
  const isSet = (key: string): boolean => entryOf(key, into) !== undefined;
  const trees = withDerivedDefaults({ daemon, security, isSet });
  const before = [...into.problems];
  const broken = (key: string): boolean => before.some((problem) => covers(problem, key));
  for (const finding of [
    ...daemonChecks(trees),
    ...networkChecks(trees),
    ...tlsChecks(trees),
    ...securityChecks(trees),
    ...accessChecks(trees),
  ]) {
    if (finding.keys.some(broken)) continue;
    const { severity, keys, ...words } = finding;
    (severity === "problem" ? into.problems : into.warnings).push({ ...placeOf(keys, into), ...words });
  }
  return { daemon: trees.daemon, security: trees.security };
};

const treeOf = (key: string): [TreeName, string] =>
  key.startsWith("security:") ? ["security", key.slice("security:".length)] : ["daemon", key];

const entryOf = (key: string, into: Collection): Entry | undefined => {
  const [tree, pointer] = treeOf(key);
  return into.entries[tree].get(pointer);
};

/** Whether the problem concerns the key or something around or inside it; companion files leave out the first levels. */
const covers = (problem: Problem, key: string): boolean => {
  const [, pointer] = treeOf(key);
  if (problem.variable !== undefined && problem.pointer === "") return false;
  return (
    problem.pointer === "" ||
    pointer.startsWith(problem.pointer) ||
    problem.pointer.startsWith(pointer) ||
    pointer.endsWith(problem.pointer)
  );
};

const placeOf = (keys: readonly string[], into: Collection): Pick<Problem, "file" | "pointer" | "variable"> => {
  for (const key of keys) {
    const source = entryOf(key, into)?.source;
    if (source?.kind === "file" || source?.kind === "override") return { file: source.file, pointer: source.pointer };
    if (source?.kind === "environment")
      return { file: "environment", pointer: treeOf(key)[1], variable: source.variable };
  }
  return { file: "defaults", pointer: treeOf(keys[0] ?? "")[1] };
};

const withDerivedDefaults = (trees: Trees): Trees => {
  const { process_management: processes } = trees.daemon;
  const longest = processes.resource_limits.max_execution_time;
  const timeout = trees.isSet("/process_management/process_timeout")
    ? processes.process_timeout
    : Math.min(processes.process_timeout, longest);
  const { claude_integration: claude } = trees.daemon;
  const keys = claude.key_proxy && (trees.isSet("/claude_integration/key_proxy") || reachesKeyProxy(trees.daemon));
  const daemon = {
    ...trees.daemon,
    process_management: { ...processes, process_timeout: timeout },
    claude_integration: { ...claude, key_proxy: keys },
  };
  return withClientCertificate(withCloudHost({ ...trees, daemon }));
};

const SOCKET_PATH_BYTES_MAX = 107;

function* daemonChecks({ daemon }: Trees): Generator<Finding> {
  const { process_management: processes, event_streaming: events, local_api: local } = daemon;
  const longest = processes.resource_limits.max_execution_time;
  if (processes.process_timeout > longest)
    yield {
      severity: "problem",
      keys: ["/process_management/process_timeout", "/process_management/resource_limits/max_execution_time"],
      value: processes.process_timeout,
      message: `is longer than resource_limits.max_execution_time (${longest} s)`,
      allowed: `at most ${longest} s`,
      suggestion: "raise max_execution_time or lower process_timeout",
    };
  if (events.max_event_bytes > events.max_queue_bytes)
    yield {
      severity: "problem",
      keys: ["/event_streaming/max_event_bytes", "/event_streaming/max_queue_bytes"],
      value: events.max_event_bytes,
      message: `is larger than the whole queue (max_queue_bytes is ${events.max_queue_bytes})`,
    };
  const socketBytes = Buffer.byteLength(local.socket_path);
  if (socketBytes > SOCKET_PATH_BYTES_MAX)
    yield {
      severity: "problem",
      keys: ["/local_api/socket_path"],
      value: local.socket_path,
      message: `is ${socketBytes} bytes long; the kernel allows ${SOCKET_PATH_BYTES_MAX} for a unix socket`,
      suggestion: "set local_api.socket_path to a shorter path, such as one below /run or /tmp",
    };
  if (daemon.claude_integration.approvals.default === "allow")
    yield {
      severity: "warning",
      keys: ["/claude_integration/approvals/default"],
      value: "allow",
      message: "lets the agent do what nobody answered in time",
    };
}
