/** Goal: a program in a terminal finds what a person's terminal gives it, and everything that holds for pipes holds for it too (P1, P3, P4, X1). Method: real shells and stty; keys and sizes as frames. */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { readLog } from "./read-log.ts";
import {
  binary,
  childrenOf,
  Connection,
  descriptorsOf,
  eventually,
  nameOf,
  newId,
  Runner,
  type StartOptions,
} from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const skip = probe["pty"] === true ? false : "this machine gives no terminals";
const TERMINAL = 2;

let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
});

class Terminal {
  readonly id = newId();
  readonly connection: Connection;

  constructor(script: string, more: Partial<StartOptions> = {}) {
    this.connection = runner.start({
      id: this.id,
      argv: ["/bin/sh", "-c", script],
      ...more,
      numbers: { stdin: TERMINAL, ...more.numbers },
    });
  }

  get text(): string {
    return readLog(join(runner.state, this.id), "growing").bytes(1).toString("latin1");
  }

  async shows(what: string | RegExp): Promise<RegExpExecArray> {
    const pattern = typeof what === "string" ? new RegExp(what) : what;
    await this.connection.until(() => pattern.test(this.text), `${String(pattern)} in ${JSON.stringify(this.text)}`);
    return pattern.exec(this.text)!;
  }

  type(keys: string | Uint8Array): void {
    this.connection.send(frame(TYPE.input, [["data", typeof keys === "string" ? Buffer.from(keys, "latin1") : keys]]));
  }

  resize(rows: number, columns: number): void {
    this.connection.send(
      frame(TYPE.resize, [
        ["rows", rows],
        ["columns", columns],
      ]),
    );
  }

  async end(): Promise<{ code: unknown; text: string; reason: unknown; open: unknown; errors: unknown }> {
    const end = await this.connection.frame(TYPE.end);
    const { exit_code: code, reason, pipes_still_open: open, stderr_bytes: errors } = end;
    const { text } = this;
    this.connection.send(frame(TYPE.release));
    this.connection.send(frame(TYPE.stop, [["grace_ms", 0]]));
    await this.connection.untilClosed();
    return { code, reason, open, errors, text };
  }
}

test(
  "a program has a terminal of its own as 0, 1, 2 and as controlling terminal, 24 by 80, and no other descriptor",
  { skip },
  async () => {
    const terminal = new Terminal(
      'test -t 0 && test -t 1 && test -t 2 && tty && stty size && echo to-stderr >&2 && echo to-tty > /dev/tty; ls /proc/self/fd | tr "\\n" " "; ps -o tty= $$',
    );
    const started = await terminal.connection.frame(TYPE.started);
    assert.equal(started["stdin"], TERMINAL);
    const { code, text, reason, open, errors } = await terminal.end();
    assert.deepEqual([code, reason, open, errors], [0, "exited", 0, 0]);
    assert.match(text, /^\/dev\/(pts\/\d+)\r\n24 80\r\nto-stderr\r\nto-tty\r\n0 1 2 3 \1 *\r\n$/);
  },
);

test("rows and columns: asked for, at the limit, and beyond it", { skip }, async () => {
  for (const [rows, columns] of [
    [50, 132],
    [1, 1],
    [65_535, 65_535],
  ] as const) {
    const { text } = await new Terminal("stty size", { numbers: { rows, columns } }).end();
    assert.equal(text, `${String(rows)} ${String(columns)}\r\n`);
  }
  for (const numbers of [{ rows: 0 }, { columns: 0 }, { rows: 65_536 }, { columns: 1e9 }]) {
    const failed = await runner.failed({ argv: ["/bin/true"], numbers: { stdin: TERMINAL, ...numbers } });
    assert.equal(failed["stage"], "protocol");
    assert.match(String(failed["message"]), /1 to 65535/);
  }
});

test(
  "RESIZE changes the size and sends SIGWINCH; without a terminal or of a wrong size it is refused alone",
  { skip },
  async () => {
    const terminal = new Terminal("trap 'stty size' WINCH; echo ready; until read a; do :; done; echo end");
    await terminal.shows("ready");
    terminal.resize(33, 99);
    await terminal.shows("33 99");
    for (const [rows, columns] of [
      [0, 80],
      [24, 65_536],
    ] as const) {
      terminal.connection.frames.length = 0;
      terminal.resize(rows, columns);
      const refused = await terminal.connection.frame(TYPE.failed);
      assert.match(String(refused["message"]), /1 to 65535/);
    }
    terminal.resize(65_535, 1);
    await terminal.shows("65535 1");
    terminal.type("\n");
    assert.equal((await terminal.end()).code, 0);

    const plain = new Terminal("read a", { numbers: { stdin: 1 } });
    plain.resize(10, 10);
    assert.match(String((await plain.connection.frame(TYPE.failed))["message"]), /no terminal/);
    plain.connection.send(frame(TYPE.inputEof));
    assert.equal((await plain.end()).code, 1);
  },
);

test("keys: line editing, ^C to the foreground, ^Z and fg", { skip }, async () => {
  const terminal = new Terminal("", {
    argv: ["/bin/bash", "--norc", "--noediting", "-i"],
    env: ["PATH=/usr/bin:/bin", "PS1=$ "],
  });
  await terminal.shows(/\$ $/);
  terminal.type("echo onf\x7fe\n");
  await terminal.shows(/\r\none\r\n\$ $/);
  // What a job prints shows that it has the foreground.
  terminal.type("sh -c 'echo run''ning; exec sleep 1000'\n");
  await terminal.shows("running");
  terminal.type("\x03");
  await terminal.shows(/\^C\r\n\$ $/);
  terminal.type("cat\nread by cat\n");
  await terminal.shows(/read by cat\r\nread by cat\r\n$/);
  terminal.type("\x1a");
  await terminal.shows(/Stopped.*cat\r\n\$ $/);
  terminal.type("fg\n");
  await terminal.shows(/fg\r\ncat\r\n/);
  terminal.type("héllo\n\x04");
  await terminal.shows(/h.+llo\r\nh.+llo\r\n\$ $/);
  terminal.type("exit 7\n");
  assert.equal((await terminal.end()).code, 7);
});

const shellOf = (terminal: Terminal): number =>
  Number(terminal.connection.frames.find((each) => each.type === TYPE.started)!.fields["pid"]);

test(
  "INPUT_EOF types the end-of-file key, after what is queued, also in the middle of a line, and more may come",
  { skip },
  async () => {
    const terminal = new Terminal("cat; echo one; cat; echo two; stty eof ^E; echo three; cat");
    terminal.type("a line\n");
    terminal.connection.send(frame(TYPE.inputEof));
    await terminal.shows("one");
    terminal.type("half a line");
    terminal.connection.send(frame(TYPE.inputEof));
    await terminal.shows("half a linehalf a linetwo\r\nthree");
    terminal.connection.send(frame(TYPE.inputEof));
    assert.equal((await terminal.end()).code, 0);
  },
);

test(
  "P6, P7: a megabyte typed at a program in raw mode is exact; more than the window is refused whole",
  { skip },
  async () => {
    const bytes = randomBytes(1024 * 1024);
    const folder = mkdtempSync(join(runner.folder, "typed-"));
    writeFileSync(join(folder, "expected"), bytes);
    const script = `stty raw -echo; echo ready; read go < ${folder}/go; head -c 1048576 | cmp - ${folder}/expected && echo same`;
    execFileSync("mkfifo", [join(folder, "go")]);
    const terminal = new Terminal(script);
    await terminal.shows("ready");
    terminal.type(bytes);
    terminal.type(bytes);
    assert.match(String((await terminal.connection.frame(TYPE.failed))["message"]), /1 MiB/);
    writeFileSync(join(folder, "go"), "\n");
    await terminal.connection.frame(TYPE.inputTaken, (fields) => fields["total"] === bytes.length);
    const { code, text } = await terminal.end();
    assert.deepEqual([code, text], [0, "ready\nsame\n"]);
  },
);

test(
  "P4: a background child that keeps the terminal does not hold up the end, and its later output is kept",
  { skip },
  async () => {
    const folder = mkdtempSync(join(runner.folder, "late-"));
    execFileSync("mkfifo", [join(folder, "go")]);
    const terminal = new Terminal(`trap '' HUP; (read go < ${folder}/go; echo late) & echo early`);
    const end = await terminal.connection.frame(TYPE.end);
    assert.deepEqual([end["exit_code"], end["pipes_still_open"]], [0, 1]);
    writeFileSync(join(folder, "go"), "\n");
    await terminal.shows("early\r\nlate\r\n");
    await terminal.connection.frame(TYPE.empty);
    await terminal.end();
  },
);

test(
  "P1: STOP ends an interactive shell, which ignores SIGTERM, and its jobs, by SIGHUP and before the grace is over",
  { skip },
  async () => {
    const terminal = new Terminal("", { argv: ["/bin/bash", "--norc", "-i"], env: ["PATH=/usr/bin:/bin", "PS1=$ "] });
    await terminal.shows(/\$ $/);
    terminal.type("sleep 1000 & sleep 1001\n");
    // Before its exec a child of an interactive shell ignores what the shell ignores: a signal that comes then is lost.
    const jobs = (): string[] => childrenOf(shellOf(terminal)).map(nameOf);
    await eventually(() => jobs().join() === "sleep,sleep", "the jobs");
    terminal.connection.send(frame(TYPE.stop, [["grace_ms", 3_600_000]]));
    const end = await terminal.connection.frame(TYPE.end);
    assert.equal(end["reason"], "cancelled");
    await terminal.connection.frame(TYPE.empty);
    await terminal.end();
  },
);

test("a program that lets go of its terminal lives on, and may open it again", { skip }, async () => {
  const folder = mkdtempSync(join(runner.folder, "again-"));
  execFileSync("mkfifo", [join(folder, "go")]);
  const script = `echo before; exec < /dev/null > /dev/null 2>&1; read go < ${folder}/go; echo after > /dev/tty; read typed < /dev/tty; exit 3`;
  const terminal = new Terminal(script);
  await terminal.shows("before");
  const shell = shellOf(terminal);
  await eventually(() => !descriptorsOf(shell).some((open) => open.includes("/pts/")), "the terminal to be let go");
  writeFileSync(join(folder, "go"), "\n");
  await terminal.shows("before\r\nafter\r\n");
  terminal.type("key\n");
  assert.equal((await terminal.end()).code, 3);
});

test("P3: a daemon that attaches hears that it is a terminal, and types and resizes on", { skip }, async () => {
  const terminal = new Terminal(
    "trap 'stty size' WINCH; echo ready; read a; until read b && [ -n \"$b\" ]; do :; done; echo got $a $b",
  );
  await terminal.shows("ready");
  terminal.type("first\n");
  await terminal.shows("first");
  terminal.connection.disconnect();
  const path = join(runner.state, terminal.id, "attach.sock");
  await eventually(() => existsSync(join(runner.state, terminal.id, "identity")), "the shim to listen");
  const attached = new Connection(path);
  assert.equal((await attached.frame(TYPE.started))["stdin"], TERMINAL);
  assert.equal((await attached.frame(TYPE.inputTaken))["received"], 6);
  attached.send(
    frame(TYPE.resize, [
      ["rows", 7],
      ["columns", 8],
    ]),
  );
  await attached.until(() => terminal.text.includes("7 8"), "the new size");
  attached.send(frame(TYPE.input, [["data", Buffer.from("second\n")]]));
  const end = await attached.frame(TYPE.end);
  assert.equal(end["exit_code"], 0);
  assert.match(terminal.text, /got first second/);
  attached.send(frame(TYPE.release));
  await attached.untilClosed();
});

const sandboxSkip = skip || (probe["landlock_abi"] === 0 ? "this kernel has no Landlock" : false);
const SANDBOXED = {
  numbers: { sandbox: 1 },
  allowRead: ["/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache", "/proc"],
  allowWrite: ["/dev/null", "/dev/tty", "/dev/ptmx"],
};

test("X1: a sandboxed program uses its own terminal in every way", { skip: sandboxSkip }, async () => {
  const script =
    'set -e; tty; echo a > /dev/tty; echo b > $(tty); stty -echo < /dev/tty; stty -F $(tty) echo; stty size; test "$(echo typed > /dev/null; echo c)" = c';
  const { code, text } = await new Terminal(script, SANDBOXED).end();
  assert.equal(code, 0, text);
  assert.match(text, /^\/dev\/pts\/\d+\r\na\r\nb\r\n24 80\r\n$/);
});

test(
  "X1: the terminals of others stay closed to a sandboxed program, by every name",
  { skip: sandboxSkip },
  async () => {
    const victim = new Terminal("tty; read secret; echo $secret");
    const [, other] = await victim.shows(/(\/dev\/pts\/\d+)\r\n/);
    const pid = String(shellOf(victim));
    for (const attack of [
      `echo stolen > ${other!}`,
      `cat ${other!}`,
      `stty -F ${other!} size`,
      `stty < ${other!}`,
      `exec 5<> ${other!}`,
      `echo stolen > /proc/${pid}/fd/1`,
      `cat /proc/${pid}/fd/0`,
      `ls /dev/pts`,
    ]) {
      for (const numbers of [SANDBOXED.numbers, { sandbox: 1, stdin: 0 }]) {
        const attacker = new Terminal(attack, { ...SANDBOXED, numbers });
        const { code } = await attacker.end();
        assert.notEqual(code, 0, attack);
        const said = attacker.text + readLog(join(runner.state, attacker.id)).bytes(2).toString();
        assert.match(said, /denied|cannot/i, attack);
      }
    }
    victim.type("mine\n");
    const { text } = await victim.end();
    assert.doesNotMatch(text, /stolen/);
    assert.match(text, /mine\r\nmine\r\n$/);
  },
);
