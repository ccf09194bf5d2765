/** What each attack of attack.py is expected to come to. Shared by the suite of whoever runs it and the suite of an ordinary user. */

/** Who can do it where nothing holds them back: with `sandbox_mode` off, on this kind of machine. That shows that the attack is real. */
export type Without = "anybody" | "root" | "user" | "depends" | "nobody";

/**
 * `always`: refused in every mode. `network`: only where the command has no network of the machine's. `never`: the kernel has no means,
 * and SECURITY.md says so.
 */
export type Refused = "always" | "network" | "never";

export interface Attack {
  readonly name: string;
  readonly refused: Refused;
  readonly without: Without;
}

const attack = (name: string, without: Without, refused: Refused = "always"): Attack => ({ name, refused, without });

export const attacks: readonly Attack[] = [
  attack("read /etc/shadow", "root"),
  attack("read a stranger's file", "anybody"),
  attack("list a stranger's folder", "anybody"),
  attack("list /root", "root"),
  attack("read the local token", "anybody"),
  attack("read the daemon's database", "anybody"),
  attack("read the daemon's configuration", "anybody"),
  attack("read the daemon's log", "anybody"),
  attack("read the daemon's environment", "anybody"),
  attack("open the daemon's memory", "anybody"),
  attack("open the daemon's descriptors", "anybody"),
  attack("reach files by the daemon's root", "anybody"),
  attack("read the daemon's memory by process_vm_readv", "anybody"),
  // Yama lets an ordinary user trace its descendants only.
  attack("trace the daemon", "depends"),
  attack("signal the daemon", "anybody"),
  attack("signal hl-runner", "anybody"),
  attack("write a stranger's file", "anybody"),
  attack("make a file in a stranger's folder", "anybody"),
  attack("remove a stranger's file", "anybody"),
  attack("empty a stranger's file", "anybody"),
  attack("write to the daemon's data", "anybody"),
  attack("write to /etc", "root"),
  attack("read through a link", "anybody"),
  attack("write through a link", "anybody"),
  attack("read through a link that was swapped in", "anybody"),
  attack("read by a hard link", "anybody"),
  attack("hard-link out", "anybody"),
  attack("move out", "anybody"),
  // These three are refused by hl-runner and hl-daemon themselves, whatever the sandbox.
  attack("inherit a descriptor", "nobody"),
  attack("ask hl-runner", "nobody"),
  attack("ask the daemon without a token", "nobody"),
  attack("connect to an abstract socket", "anybody"),
  attack("hold a capability", "root"),
  // no_new_privs holds also where the sandbox is off.
  attack("use a set-user-id program", "nobody"),
  attack("become root", "root"),
  attack("act two forks and a session away", "anybody"),
  attack("leave the control group", "depends"),
  attack("mount", "root"),
  attack("chroot", "root"),
  attack("make a user namespace", "depends"),
  attack("make a mount namespace by clone3", "depends"),
  attack("enter a namespace", "root"),
  attack("io_uring", "depends"),
  attack("bpf", "depends"),
  attack("keyring", "anybody"),
  attack("userfaultfd", "depends"),
  attack("performance counters of everybody", "depends"),
  attack("type into a terminal", "anybody"),
  attack("an address family of the kernel's back rooms", "depends"),
  attack("take all descriptors", "nobody"),
  attack("connect to a port of this machine", "anybody", "network"),
  attack("ask a server of this machine by UDP", "anybody", "network"),
  attack("reach the metadata address", "depends", "network"),
  attack("change the mode of a file outside that is its own", "anybody", "never"),
];

/** Who is root already gains nothing by these. */
export const nothingToRoot: readonly string[] = ["become root", "use a set-user-id program"];
