/** `process_management`: which commands run, within which limits, and how long their results are kept. */
import * as z from "zod";
import {
  bytes,
  count,
  key,
  line,
  number,
  optionalKey,
  path,
  pathSchema,
  seconds,
  section,
  type Key,
} from "../declare.ts";
import { environmentMap } from "./environment-map.ts";

const DAY_SECONDS = 86_400;

const commandList = (fallback: string[], summary: string): Key<string[]> =>
  key({ schema: z.array(line(4096)).max(4096), default: fallback, reload: "live", summary });

const resourceLimits = section({
  summary: "Limits of one command.",
  keys: {
    max_child_processes: count({
      min: 1,
      max: 4_194_304,
      default: 4096,
      unit: "processes",
      reload: "live",
      summary:
        "Processes and threads of the process tree at once, where a cgroup is delegated; else not limited (`system/info` says which).",
    }),
    max_memory_mb: count({
      min: 16,
      max: 2 ** 24,
      default: 1024,
      unit: "MiB",
      reload: "live",
      summary:
        "Memory of the process tree, by cgroup where delegated, else by watching. Agents have no limit of their own: one with its tools needs more than a command, and the runner's unit bounds them all.",
    }),
    max_cpu_percent: number({
      min: 1,
      max: 100,
      default: 80,
      unit: "percent",
      reload: "live",
      summary:
        "Share of the machine's processors, all cores together being 100, where a cgroup is delegated; else not limited (`system/info` says which).",
    }),
    max_open_files: count({
      min: 16,
      max: 1_048_576,
      default: 1024,
      unit: "files",
      reload: "live",
      summary: "Open files of a process.",
    }),
    max_execution_time: seconds({
      min: 0.1,
      default: 1800,
      reload: "live",
      summary: "Longest timeout that a request may ask for.",
    }),
  },
});

export const processManagementSection = section({
  summary: "Commands.",
  keys: {
    max_processes: count({
      min: 1,
      max: 10_000,
      default: 64,
      unit: "processes",
      reload: "live",
      summary: "Commands at once; one more is refused.",
    }),
    process_timeout: seconds({
      min: 0.1,
      default: 300,
      reload: "live",
      summary:
        "Timeout of a command whose request names none. Setting it above `max_execution_time` is an error; " +
        "the default follows a lower `max_execution_time`.",
    }),
    idle_timeout: optionalKey({
      schema: z
        .number()
        .min(0.1)
        .max(DAY_SECONDS * 7),
      unit: "seconds",
      reload: "live",
      summary: "A command without output for this long is stopped. Absent: never.",
    }),
    stop_grace_seconds: seconds({
      max: 600,
      default: 5,
      reload: "live",
      summary: "Between SIGTERM and the end of the whole process tree.",
    }),
    cleanup_interval: seconds({
      min: 1,
      max: DAY_SECONDS,
      default: 600,
      reload: "live",
      summary: "Between removals of old results.",
    }),
    finished_retention_seconds: seconds({
      default: 3600,
      reload: "live",
      summary: "How long a finished command stays readable.",
    }),
    finished_retention_commands: count({
      min: 0,
      max: 1_000_000,
      default: 10_000,
      unit: "commands",
      reload: "live",
      summary: "Finished commands that stay readable; the oldest go first.",
    }),
    finished_retention_bytes: bytes({
      default: 2 ** 30,
      reload: "live",
      summary: "Output of finished commands on disk; the oldest go first.",
    }),
    log_bytes_max: bytes({
      min: 65_536,
      default: 256 * 2 ** 20,
      reload: "live",
      summary: "Output of one command on disk; the oldest is dropped, and readers see a gap.",
    }),
    max_reply_bytes: bytes({
      min: 1024,
      max: 256 * 2 ** 20,
      default: 2 ** 20,
      reload: "live",
      summary: "Output in one reply, as head and tail; the log keeps more.",
    }),
    workspace_idle_seconds: seconds({
      min: 0.1,
      default: 60,
      reload: "live",
      summary:
        "hl-workspace, which serves `file/*`, is stopped after so long without a call or a watch; the next call starts it.",
    }),
    default_user: optionalKey({
      schema: z
        .string()
        .regex(/^[a-z_][a-z0-9_-]{0,31}\$?$/, "must be the name of a user of this machine")
        .meta({ description: "user name" }),
      reload: "restart",
      summary: "User whose runner takes commands that name none. Absent: the only runner there is.",
    }),
    runner_directory: optionalKey({
      schema: pathSchema,
      location: "path",
      default: "/run/hl-runner",
      reload: "restart",
      summary:
        "Folder with the sockets of the installed runners (USER.sock). Absent: the daemon starts a runner itself.",
    }),
    runner_state_directory: path({
      default: "/var/lib/hl-runner",
      reload: "restart",
      summary:
        "Folder with the state folders of the installed runners (USER); each belongs to one daemon. Unused without `runner_directory`.",
    }),
    temp_dir: path({
      default: "/tmp/hl-daemon-temp",
      developmentDefault: "data/cache/tmp",
      reload: "restart",
      summary: "Below it each command has a private TMPDIR, removed after it.",
    }),
    environment: environmentMap(
      "Environment variables for commands, over a clean environment; those of a request come last.",
    ),
    resource_limits: resourceLimits,
    allowed_commands: commandList(
      // The specification's list, and `echo`, which its own tests run.
      // prettier-ignore
      ["npm", "yarn", "pnpm", "pip", "python", "python3", "node", "nodejs", "git", "docker", "docker-compose", "ls", "cat", "grep",
        "find", "tail", "head", "curl", "wget", "echo"],
      "Programs that may be run, by basename. Interpreters on the list can run anything: the list is hygiene, the sandbox is the boundary.",
    ),
    blocked_commands: commandList(
      ["sudo", "su", "chmod", "chown", "rm -rf", "dd", "fdisk", "systemctl", "service", "passwd", "useradd", "userdel"],
      "Programs that may not be run, judged first. An entry of several words matches those arguments in every spelling of the flags.",
    ),
  },
});
