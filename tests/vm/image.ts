/**
 * The disk, kernel and initial RAM disk of the virtual machine that the tests boot: Debian with systemd, made once and kept in a cache.
 * Needs root (the tree holds device nodes and other users' files) and the packages that `missingTools` names.
 */
import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync } from "node:fs";
import { cp, mkdir, readdir, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";

const execute = promisify(execFile);

const suite = "bookworm";
const packages = [
  ...["systemd", "systemd-sysv", "dbus", "udev", "kmod", "procps", "util-linux", "openssh-server"],
  ...["linux-image-cloud-amd64", "initramfs-tools", "python3-minimal", "git", "ca-certificates"],
  ...["iproute2", "openssl"],
];
/** With a journal: the disk outlives a cut of the power. */
const fileSystem = ["-t", "ext4"];
const buildMsMax = 10 * 60_000;

export interface Image {
  readonly disk: string;
  readonly kernel: string;
  readonly initialRamDisk: string;
  /** Private key that root of the machine accepts. */
  readonly key: string;
}

/** What has to be installed first, as Debian packages; undefined when a machine can be made here. */
export async function missingTools(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "the image of the machine is made as root";
  if (process.arch !== "x64") return `no image is described for ${process.arch}`;
  const tools: Readonly<Record<string, string>> = {
    mmdebstrap: "mmdebstrap",
    "qemu-system-x86_64": "qemu-system-x86",
    mke2fs: "e2fsprogs",
    ssh: "openssh-client",
    "ssh-keygen": "openssh-client",
  };
  const missing = new Set<string>();
  for (const [tool, name] of Object.entries(tools)) {
    await execute("sh", ["-c", 'command -v "$1"', "sh", tool]).catch(() => missing.add(name));
  }
  return missing.size === 0 ? undefined : `apt-get install ${[...missing].join(" ")}`;
}

export async function ensureImage(): Promise<Image> {
  const recipe = createHash("sha256")
    .update(JSON.stringify([suite, packages, fileSystem, ready, networkFile]))
    .digest("hex");
  const folder = join(homedir(), ".cache/hl-daemon/vm", `${suite}-${recipe.slice(0, 12)}`);
  if (!existsSync(folder)) await build(folder);
  return {
    disk: join(folder, "root.ext4"),
    kernel: join(folder, "vmlinuz"),
    initialRamDisk: join(folder, "initrd"),
    key: join(folder, "key"),
  };
}

/** Says on the console that commands are taken: whoever waits reads one line instead of asking again and again. */
const ready = `[Unit]
After=ssh.service multi-user.target
[Service]
Type=oneshot
ExecStart=/bin/echo HL-MACHINE-READY
StandardOutput=tty
TTYPath=/dev/ttyS0
[Install]
WantedBy=graphical.target multi-user.target
`;

const networkFile = `[Match]
Name=en* eth*
[Network]
Address=10.0.2.15/24
LinkLocalAddressing=no
`;

async function build(folder: string): Promise<void> {
  const work = `${folder}.building`;
  const root = join(work, "root");
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { recursive: true });
  const mirror = await ownMirror();
  await execute(
    "mmdebstrap",
    ["--quiet", "--variant=minbase", `--include=${packages.join(",")}`, suite, root, ...(mirror ? [mirror] : [])],
    { timeout: buildMsMax, maxBuffer: 64 * 2 ** 20 },
  );
  await execute("ssh-keygen", ["-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", join(work, "key")]);
  const put = async (path: string, text: string, mode = 0o644): Promise<void> => {
    await mkdir(join(root, path, ".."), { recursive: true });
    await writeFile(join(root, path), text, { mode });
  };
  await mkdir(join(root, "root/.ssh"), { recursive: true, mode: 0o700 });
  await cp(join(work, "key.pub"), join(root, "root/.ssh/authorized_keys"));
  await put("etc/hostname", "vm\n");
  await put("etc/hosts", "127.0.0.1 localhost vm\n");
  await put("etc/fstab", "");
  // One that is set: systemd takes an empty one for a first boot and applies presets.
  await put("etc/machine-id", `${createHash("md5").update(folder).digest("hex")}\n`);
  await put("etc/systemd/network/10-vm.network", networkFile);
  await put("etc/systemd/journald.conf.d/vm.conf", "[Journal]\nStorage=volatile\n");
  await put("etc/systemd/system/hl-ready.service", ready);
  const disabled = [
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "e2scrub_all.timer",
    "fstrim.timer",
    "e2scrub_reap.service",
  ];
  await execute("systemctl", ["-q", `--root=${root}`, "mask", "systemd-networkd-wait-online.service", ...disabled]);
  await execute("systemctl", [
    "-q",
    `--root=${root}`,
    "enable",
    "systemd-networkd.service",
    "ssh.service",
    "hl-ready.service",
  ]);
  const boot = await readdir(join(root, "boot"));
  const named = (start: string): string => {
    const name = boot.find((entry) => entry.startsWith(start));
    if (name === undefined) throw new Error(`the tree has no /boot/${start}*`);
    return join(root, "boot", name);
  };
  await cp(named("vmlinuz-"), join(work, "vmlinuz"));
  await cp(named("initrd.img-"), join(work, "initrd"));
  await execute("mke2fs", ["-q", ...fileSystem, "-d", root, join(work, "root.ext4"), "4G"], {
    timeout: buildMsMax,
  });
  await rm(root, { recursive: true, force: true });
  await rename(work, folder);
}

/** Where this machine takes its own packages from, when it is the same suite; else mmdebstrap's default. */
async function ownMirror(): Promise<string | undefined> {
  const asked = ["indextargets", "--format", "$(REPO_URI)", `Codename: ${suite}`];
  const answer = await execute("apt-get", asked).catch(() => ({ stdout: "" }));
  return answer.stdout.split("\n").find((line) => line !== "");
}
