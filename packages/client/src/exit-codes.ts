/** Every exit code of hl-client in one place; 64 and above are sysexits(3). docs/cli.md is rendered from this table. */
export const exitCode = {
  ok: 0,
  /** The daemon answered with an error that has no code of its own here. */
  failed: 1,
  /** `health` only. */
  unhealthy: 1,
  degraded: 2,
  usage: 64,
  /** `file put` and `file get` only. */
  localFile: 66,
  unavailable: 69,
  software: 70,
  outputFailed: 74,
  tryLater: 75,
  permission: 77,
  config: 78,
  /** `exec` only: the command ran into its time limit, as timeout(1) says it. */
  execTimeout: 124,
  /** `exec` only: hl-client or the daemon failed, not the command. Kept apart from what a command itself may answer. */
  execFailed: 125,
  execRefused: 126,
  execNotFound: 127,
  /** Plus the number of the signal. */
  signalBase: 128,
  interrupted: 130,
  brokenPipe: 141,
} as const;

export const exitCodeMeanings: readonly (readonly [code: string, meaning: string])[] = [
  ["0", "Success. `exec`: the command's own 0. `health`, `doctor`: healthy."],
  [
    "1",
    "The daemon answered with an error; `health`, `doctor`: unhealthy; `claude send`, `relay` and `chat` without a terminal: the agent reported an error.",
  ],
  ["2", "`health`, `doctor`: degraded."],
  ["64", "Wrong usage."],
  ["66", "`file put`, `file get`: the file on this machine cannot be read or written."],
  ["69", "The daemon, the cloud or the VM behind it cannot be reached."],
  ["70", "A bug in hl-client."],
  ["74", "Standard output cannot be written."],
  ["75", "The daemon refuses for now: try again later."],
  ["77", "No or a wrong token, or a role without the permission."],
  ["78", "The configuration is not valid."],
  ["124", "`exec`: the command ran into its time limit."],
  [
    "125",
    "`exec`: hl-client or the daemon failed, whatever the reason; nothing is known to be wrong with the command.",
  ],
  ["126", "`exec`: refused: blocked, not on the allow list, or outside the sandbox's rules."],
  ["127", "`exec`: there is no such executable."],
  ["128 + n", "`exec`: signal n ended the command."],
  ["130, 143, 129", "SIGINT, SIGTERM or SIGHUP ended hl-client; `exec` has cancelled the command first."],
  ["141", "The reader of standard output has gone (`| head`); `exec` has cancelled the command."],
];
