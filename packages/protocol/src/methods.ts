import { fileMethods } from "./file-methods.ts";
import { approvalDecide } from "./methods/approval-decide.ts";
import { approvalList } from "./methods/approval-list.ts";
import { approvalSubscribe } from "./methods/approval-subscribe.ts";
import { authLogin } from "./methods/auth-login.ts";
import { claudeInterrupt } from "./methods/claude-interrupt.ts";
import { claudeList } from "./methods/claude-list.ts";
import { claudeRelay } from "./methods/claude-relay.ts";
import { claudeStart } from "./methods/claude-start.ts";
import { claudeStatus } from "./methods/claude-status.ts";
import { claudeStop } from "./methods/claude-stop.ts";
import { claudeSubscribe } from "./methods/claude-subscribe.ts";
import { commandCancel } from "./methods/command-cancel.ts";
import { commandExecute } from "./methods/command-execute.ts";
import { commandInput } from "./methods/command-input.ts";
import { commandList } from "./methods/command-list.ts";
import { commandLogs } from "./methods/command-logs.ts";
import { commandResize } from "./methods/command-resize.ts";
import { commandSignal } from "./methods/command-signal.ts";
import { commandStatus } from "./methods/command-status.ts";
import { commandSubscribe } from "./methods/command-subscribe.ts";
import { eventStream } from "./methods/event-stream.ts";
import { eventSubscribe } from "./methods/event-subscribe.ts";
import { fileUnwatch } from "./methods/file-unwatch.ts";
import { rpcDiscover } from "./methods/rpc-discover.ts";
import { systemConfigGet } from "./methods/system-config-get.ts";
import { systemConfigUpdate } from "./methods/system-config-update.ts";
import { systemHealingReset } from "./methods/system-healing-reset.ts";
import { systemHealth } from "./methods/system-health.ts";
import { systemInfo } from "./methods/system-info.ts";
import { systemLogs } from "./methods/system-logs.ts";
import { systemPing } from "./methods/system-ping.ts";
import { systemRestart } from "./methods/system-restart.ts";

/** Every method that hl-daemon serves. A row without a handler does not compile. */
export const daemonMethods = {
  "auth/login": authLogin,
  "rpc.discover": rpcDiscover,
  "system/ping": systemPing,
  "system/info": systemInfo,
  "system/health": systemHealth,
  "system/healing/reset": systemHealingReset,
  "system/config/get": systemConfigGet,
  "system/config/update": systemConfigUpdate,
  "system/logs": systemLogs,
  "system/restart": systemRestart,
  "command/execute": commandExecute,
  "command/list": commandList,
  "command/status": commandStatus,
  "command/logs": commandLogs,
  "command/subscribe": commandSubscribe,
  "command/input": commandInput,
  "command/resize": commandResize,
  "command/signal": commandSignal,
  "command/cancel": commandCancel,
  ...fileMethods,
  "file/unwatch": fileUnwatch,
  "event/stream": eventStream,
  "event/subscribe": eventSubscribe,
  "claude/start": claudeStart,
  "claude/relay": claudeRelay,
  "claude/interrupt": claudeInterrupt,
  "claude/stop": claudeStop,
  "claude/list": claudeList,
  "claude/status": claudeStatus,
  "claude/subscribe": claudeSubscribe,
  "approval/list": approvalList,
  "approval/decide": approvalDecide,
  "approval/subscribe": approvalSubscribe,
} as const;

export type DaemonMethods = typeof daemonMethods;
