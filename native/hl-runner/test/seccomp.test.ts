/**
 * Goal: what Landlock does not judge and no tool needs is refused to a sandboxed program (X1), a kernel that cannot refuse it runs nothing (X2), and
 * ordinary tools notice nothing. Method: a program that makes each call, first without a sandbox to show that the attack is real, then below the filter
 * alone (so that nothing else can have refused), then in the sandbox. A kernel without filters is one whose call for them is withheld.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { errno, Helpers } from "./helpers.ts";
import { readLog } from "./read-log.ts";
import { binary, newId, Runner, startFrame, type StartOptions } from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const skip = probe["landlock_abi"] === 0 || probe["seccomp"] !== true ? "this kernel has no sandbox" : false;
const capabilities = Number.parseInt(/CapEff:\s*(\S+)/.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0", 16);
const isMighty = process.getuid?.() === 0 && Math.floor(capabilities / 2 ** 21) % 2 === 1; // CAP_SYS_ADMIN

const helpers = new Helpers("attempts", "withhold");
let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
  helpers[Symbol.dispose]();
});

type Outcomes = Readonly<Record<string, string>>;
const outcomes = (text: string): Outcomes =>
  Object.fromEntries(
    text
      .trim()
      .split("\n")
      .map((line) => line.split(" ") as [string, string]),
  );
const attempt = async (numbers: StartOptions["numbers"]): Promise<Outcomes> => {
  const argv = [helpers.path("attempts")];
  const { end, stdout } = await runner.run({ argv, numbers: numbers ?? {}, allowRead: ["/"], allowWrite: ["/dev"] });
  assert.equal(end["exit_code"], 0);
  return outcomes(stdout.toString());
};

/** What no kernel refuses to an ordinary user, nor answers by chance as the filter does. */
const ofEverybody = ["ptrace", "process_vm_readv", "process_vm_writev", "kcmp", "clone", "clone_newnet", "clone3", "personality", "ioctl_tiocsti", "ioctl_tiocsti_high_bits", "ioctl_tioclinux", "prlimit_of_another"]; // prettier-ignore
/** What root is not refused. */
const ofRoot = ["mount", "umount2", "pivot_root", "chroot", "move_mount", "open_tree", "fsopen", "fsmount", "fspick", "mount_setattr", "fanotify_init", "swapon", "swapoff", "acct", "syslog", "sethostname", "setdomainname", "bpf", "adjtimex_set"]; // prettier-ignore
const otherwise: Outcomes = {
  clone3: "ENOSYS",
  socket_vsock: "EAFNOSUPPORT",
  socket_alg: "EAFNOSUPPORT",
  socket_packet: "EAFNOSUPPORT",
  socketpair_tipc: "EAFNOSUPPORT",
};
const isRefused = (name: string, outcome: string): boolean =>
  outcome === (otherwise[name] ?? "EPERM") || (name === "of_32_bits" && outcome === "SIGNAL");

const assertRefused = (made: Outcomes): void => {
  for (const [name, outcome] of Object.entries(made)) {
    if (name.startsWith("may_")) assert.equal(outcome, "OK", name);
    else assert.ok(isRefused(name, outcome), `${name}: ${outcome}`);
  }
};

describe("the filter of system calls", { skip }, () => {
  test("X1: the attacks are real: without the sandbox the kernel does not refuse them", async () => {
    const made = await attempt({});
    for (const name of [...ofEverybody, ...(isMighty ? ofRoot : [])]) {
      assert.notEqual(made[name], undefined, name);
      assert.ok(!isRefused(name, made[name]!), `${name}: ${made[name]!}`);
    }
  });

  test("X1: the filter refuses each by itself, whoever makes it", () => {
    assertRefused(outcomes(execFileSync(helpers.path("attempts"), ["--filter"], { encoding: "utf8" })));
  });

  test("X1: in the sandbox each is refused, and what tools need is not", async () => {
    assertRefused(await attempt({ sandbox: 1 }));
  });

  const noPrlimit = existsSync("/usr/bin/prlimit") ? false : "prlimit (util-linux) is not installed";
  test(
    "X1: a program cannot take its shim's limits away, and sets and reads its own",
    { skip: noPrlimit },
    async () => {
      const limits = async (sandbox: number): Promise<string> => {
        const look = "prlimit --pid $PPID --nofile -o SOFT --noheadings";
        const script = `ulimit -n 99; ulimit -n; prlimit --pid $PPID --nofile=77:77; ${look}`;
        const { stdout } = await runner.run({
          argv: ["/bin/sh", "-c", script],
          numbers: { sandbox },
          allowRead: ["/"],
        });
        return stdout.toString().replaceAll(" ", "");
      };
      assert.equal(await limits(0), "99\n77\n", "the attack is real");
      assert.match(await limits(1), /^99\n(?!77\n)\d+\n$/);
    },
  );

  test("X1: namespaces are let through where the request allows them, and nothing else is", async () => {
    const made = await attempt({ sandbox: 1, allow_namespaces: 1 });
    const { unshare, setns, clone, clone_newnet, clone3, ...others } = made;
    assert.deepEqual([setns, clone, clone_newnet, clone3], ["EBADF", "EINVAL", "EINVAL", "EINVAL"]);
    if (probe["network_namespaces"] === true) assert.equal(unshare, "OK");
    assertRefused(others);
  });

  test("X1: what START allows holds, whatever PREPARE had to assume", async () => {
    for (const allow_namespaces of [0, 1]) {
      const id = newId();
      const connection = runner.connect();
      connection.send(frame(TYPE.prepare, [["allow_read", "/"]]));
      connection.send(startFrame({ id, argv: [helpers.path("attempts")], numbers: { sandbox: 1, allow_namespaces } }));
      await connection.frame(TYPE.empty);
      const made = outcomes(readLog(join(runner.state, id)).bytes(1).toString());
      assert.equal(made["setns"], allow_namespaces === 1 ? "EBADF" : "EPERM");
      connection.send(frame(TYPE.release));
      await connection.untilClosed();
    }
  });

  test("X2: a kernel that takes no filter, or keeps our capabilities, runs nothing and says so", async () => {
    for (const [call, what] of [
      ["seccomp", "the filter of system calls"],
      ["capset", "the capabilities"],
      ["landlock_create_ruleset", "Landlock"],
    ] as const) {
      const withhold = helpers.path("withhold");
      const lacking = [call, String(errno.ENOSYS)];
      await using own = await Runner.start([], undefined, [withhold, ...lacking]);
      const started = join(own.folder, "started");
      const numbers = { sandbox: 1 };
      const failed = await own.failed({ argv: ["/bin/touch", started], numbers, allowRead: ["/"], allowWrite: ["/"] });
      assert.equal(failed["stage"], "sandbox");
      assert.match(String(failed["message"]), new RegExp(what));
      assert.equal(existsSync(started), false);
      const said = JSON.parse(execFileSync(withhold, [...lacking, binary, "probe"], { encoding: "utf8" })) as Record<
        string,
        unknown
      >;
      assert.equal(said["seccomp"], call !== "seccomp");
    }
  });

  const tools: Readonly<Record<string, string>> = {
    sh: 'echo a | cat | grep -q a && (sleep 0 & wait) && x=$(date) && test -n "$x"',
    bash: "exec {fd}<<<text; read -u $fd line; cat <(echo sub) >/dev/null; ulimit -n >/dev/null; [[ $line == text ]]",
    python3: `python3 -c '
import threading, subprocess, socket, tempfile, multiprocessing.dummy
done = []
threads = [threading.Thread(target=done.append, args=(i,)) for i in range(8)]
[t.start() for t in threads]; [t.join() for t in threads]
assert len(done) == 8
assert subprocess.run(["echo", "x"], capture_output=True, check=True).stdout == b"x\\n"
a, b = socket.socketpair(); a.send(b"y"); assert b.recv(1) == b"y"'`,
    node: `node -e '
const { Worker } = require("node:worker_threads");
const { execFileSync } = require("node:child_process");
if (execFileSync("echo", ["x"]).toString() !== "x\\n") throw new Error("no child");
new Worker("require(\\"fs\\").readFileSync(\\"/etc/passwd\\")", { eval: true }).on("exit", (code) => process.exit(code));'`,
    git: "git init -q r && cd r && git -c user.name=n -c user.email=e@e commit -q --allow-empty -m m && git clone -q . ../c && git -C ../c log -1 --format=%s | grep -qx m",
    gcc: "printf '#include <stdio.h>\\nint main(void){puts(\"compiled\");}' > p.c && gcc p.c -o p && ./p | grep -qx compiled",
    npm: "npm --version",
    tar: "mkdir t && echo x > t/f && tar czf t.tgz t && tar xzf t.tgz && cp -a t u && mv u v && rm -r v",
  };
  const path = process.env["PATH"] ?? "/usr/bin:/bin";
  const isThere = (tool: string): boolean => path.split(":").some((folder) => existsSync(join(folder, tool)));

  for (const [tool, script] of Object.entries(tools)) {
    test(`${tool} works in the sandbox`, { skip: isThere(tool) ? false : `${tool} is not installed` }, async () => {
      const home = join(realpathSync(runner.folder), `home-${tool}`);
      mkdirSync(home);
      const { end, stderr } = await runner.run({
        argv: [tool === "bash" ? "/bin/bash" : "/bin/sh", "-c", script],
        cwd: home,
        env: [`PATH=${path}`, `HOME=${home}`, `TMPDIR=${home}`],
        numbers: { sandbox: 1 },
        allowRead: ["/"],
        allowWrite: [home, "/dev/null"],
      });
      assert.equal(stderr.toString(), "");
      assert.equal(end["exit_code"], 0);
    });
  }
});
