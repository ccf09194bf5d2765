import { statSync } from "node:fs";
import { foldersAbove, Places } from "@hl/core/places.ts";

/** What ordinary programs need to start: code, libraries, name resolution, time, certificates; no secrets, no homes. */
export const systemRead = [
  "/usr",
  "/bin",
  "/sbin",
  "/lib",
  "/lib32",
  "/lib64",
  "/libx32",
  "/proc",
  "/sys/devices/system/cpu",
  "/sys/fs/cgroup",
  "/etc/alternatives",
  "/etc/bash.bashrc",
  "/etc/ca-certificates",
  "/etc/debian_version",
  "/etc/environment",
  "/etc/gai.conf",
  "/etc/gitconfig",
  "/etc/group",
  "/etc/host.conf",
  "/etc/hostname",
  "/etc/hosts",
  "/etc/inputrc",
  "/etc/ld.so.cache",
  "/etc/ld.so.conf",
  "/etc/ld.so.conf.d",
  "/etc/ld.so.preload",
  "/etc/locale.alias",
  "/etc/locale.conf",
  "/etc/localtime",
  "/etc/lsb-release",
  "/etc/machine-id",
  "/etc/magic",
  "/etc/mime.types",
  "/etc/nsswitch.conf",
  "/etc/os-release",
  "/etc/passwd",
  "/etc/pip.conf",
  "/etc/profile",
  "/etc/profile.d",
  "/etc/protocols",
  "/etc/python3",
  "/etc/resolv.conf",
  "/etc/services",
  "/etc/shells",
  "/etc/ssl",
  "/etc/terminfo",
  "/etc/timezone",
  "/etc/vim",
  "/run/systemd/resolve",
] as const;

/**
 * Devices without a memory of their own, and the process's own terminal. Not /dev/pts, where everybody's terminals are: the shim
 * opens the one that is the process's own (X1). Who runs tmux or script inside the sandbox adds /dev/pts to allowed_paths.
 */
export const systemWrite = [
  "/dev/null",
  "/dev/zero",
  "/dev/full",
  "/dev/random",
  "/dev/urandom",
  "/dev/tty",
  "/dev/ptmx",
] as const;

/** The folders that the system's lists lie in, and those above. */
const systemFolders = [...new Set(["/", ...[...systemRead, ...systemWrite].flatMap(foldersAbove)])];

interface SystemPlaces {
  /** Changes when the places may have. */
  readonly state: string;
  readonly places: ReadonlyMap<string, string>;
}

let lookedUp: SystemPlaces | undefined;

/**
 * Where the system's lists lead. A link or a folder can only come, go or change in the folder that holds it, and that shows there,
 * so all is looked up again as soon as one of the few folders has changed. Nothing of what callers or policies name is kept: a
 * process may have put something else in its place since.
 */
function systemPlaces(): SystemPlaces {
  const state = systemFolders.map(stateOf).join(); // Before the look-ups, so that a change between the two shows.
  if (lookedUp?.state !== state) {
    const places = new Places();
    for (const path of [...systemRead, ...systemWrite]) places.real(path);
    for (const path of systemFolders) places.real(path);
    lookedUp = { state, places: places.found };
  }
  return lookedUp;
}

function stateOf(folder: string): string {
  const found = statSync(folder, { bigint: true, throwIfNoEntry: false });
  return found === undefined ? "" : `${found.dev} ${found.ino} ${found.ctimeNs}`;
}

/** Places as they are in this turn of the event loop: nobody is to keep them for longer, because a process may change what lies there. */
export interface PlacesNow {
  readonly state: string;
  readonly places: Places;
}

export function placesNow(): PlacesNow {
  const { state, places } = systemPlaces();
  return { state, places: new Places(places) };
}
