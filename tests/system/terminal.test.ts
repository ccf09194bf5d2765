/**
 * Goal: `hl-client exec --pty` is a terminal as good as ssh's, here and through the cloud. Method: hl-client runs in a real PTY with a
 * person at it who types, resizes and looks; the programs are real.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Human, type HumanOptions } from "@hl/testkit/human.ts";
import { noProcessOf } from "@hl/testkit/processes.ts";
import { startSystem, type TestSystem } from "@hl/testkit/system.ts";
import { eachWayAt, waysTo, type Ways } from "./both-ways.ts";

const allowed = ["sh", "bash", "python3", "stty", "top", "vi", "vim", "less", "cat", "sleep"];
const config = { process_management: { allowed_commands: allowed, stop_grace_seconds: 1 } };
const megabyte = 1024 * 1024;

let system: TestSystem;
let ways: Ways;
before(async () => {
  system = await startSystem({ config });
  ways = waysTo(system);
});
after(async () => {
  await system[Symbol.asyncDispose]();
});

/** A person at `hl-client exec --pty`, by each way in turn. */
const eachWay = (
  args: readonly string[],
  person: (human: Human, way: string) => Promise<void>,
  options?: HumanOptions,
): Promise<void> => eachWayAt(ways, ["exec", "--pty", ...args], person, options);

const given = { raw: false, echo: true, same: true };

const missing = (program: string): string | false => {
  try {
    execFileSync("sh", ["-c", `command -v ${program}`], { stdio: "ignore" });
    return false;
  } catch {
    return `${program} is not installed here: apt-get install procps vim-tiny less`;
  }
};

describe("exec --pty", () => {
  test("line editing, size and resize, ^C to the program, ^D, and the exit code, with the terminal given back", async () => {
    const bash = ["--env", "PS1=$ ", "--", "bash", "--norc", "--noediting", "-i"];
    const person = async (human: Human): Promise<void> => {
      await human.sees(/\$ /);
      assert.equal((await human.modes()).raw, true);
      human.type("echo onf\x7fe; stty size; echo $TERM\r");
      await human.sees(/\none\r\n33 101\r\nxterm-256color\r\n/);
      human.resize(40, 120);
      human.type("until [ \"$(stty size)\" = '40 120' ]; do :; done; echo resi''zed\r");
      await human.sees(/resized\r\n/);
      human.type("sh -c 'echo run''ning; exec sleep 1000'\r");
      await human.sees(/running\r\n/);
      human.type("\x03");
      await human.sees(/\^C/);
      human.type("echo st''ill\r");
      await human.sees(/still\r\n/);
      human.type("echo re''ady; cat\r");
      await human.sees(/ready\r\n/);
      human.type("read by cat\r");
      await human.sees(/read by cat\r\nread by cat\r\n/);
      human.type("\x1a");
      await human.sees(/Stopped/);
      human.type("fg\r");
      await human.sees(/cat\r\n/);
      human.type("again\r");
      await human.sees(/again\r\n[^]*again\r\n/);
      human.type("\x04");
      await human.sees(/\$ /);
      human.type("(exit 7)\r");
      await human.sees(/\r\n[^]*\$ /);
      human.type("\x04");
      const { code, terminal } = await human.leaves();
      assert.deepEqual([code, terminal], [7, given], human.shown);
    };
    await eachWay(bash, person, { rows: 33, columns: 101 });
  });

  test("python: line editing in its own loop and a password that is not shown", async () => {
    const program =
      "import getpass; name = input('name? '); secret = getpass.getpass('secret? '); print(name, len(secret))";
    await eachWay(["--", "python3", "-c", program], async (human) => {
      await human.sees(/name\? /);
      human.type("Adb\x7fa\r");
      await human.sees(/secret\? /);
      human.type("hidden\r");
      await human.sees(/Ada 6\r\n/);
      assert.doesNotMatch(human.shown, /hidden/);
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
    });
  });

  test("P6: every byte passes both ways, raw and unprocessed", async () => {
    // Typed bytes come back as numbers, shown bytes are all 256; a tilde does not begin a line here.
    const program =
      "import os,sys,tty; tty.setraw(0); os.write(1, b'READY' + bytes(range(256)) + b'THEN'); seen = b''\n" +
      "while len(seen) < 256: seen += os.read(0, 256)\n" +
      "os.write(1, repr(list(seen)).encode())";
    const every = Buffer.from(Array.from({ length: 256 }, (_, value) => value));
    await eachWay(["--", "python3", "-c", program], async (human) => {
      const [shown] = await human.sees(/READY[^]{256}THEN/);
      assert.deepEqual(Buffer.from(shown.slice(5, -4), "latin1"), every);
      human.type(every.toString("latin1"));
      await human.sees(/\[0, 1, 2, .*, 254, 255\]/);
      assert.equal((await human.leaves()).code, 0);
    });
  });

  test("top, and q", { skip: missing("top") }, async () => {
    await eachWay(["--", "top"], async (human) => {
      await human.sees(/load average[^]*PID[^]*COMMAND/);
      human.type("q");
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
    });
  });

  test("vi writes a file", { skip: missing("vi") }, async () => {
    await eachWay(["--", "vi", "-u", "NONE", "note.txt"], async (human, way) => {
      await human.sees(/note\.txt/);
      human.type(`ggdGiwritten ${way}\x1b:wq\r`);
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given }, human.shown);
      assert.equal(readFileSync(join(system.daemon.workspace, "note.txt"), "utf8"), `written ${way}\n`);
    });
  });

  test("less pages through a file", { skip: missing("less") }, async () => {
    writeFileSync(
      join(system.daemon.workspace, "lines"),
      Array.from({ length: 500 }, (_, n) => `line-${n}-\n`).join(""),
    );
    await eachWay(["--", "less", "lines"], async (human) => {
      await human.sees(/line-22-/);
      human.type(" ");
      await human.sees(/line-40-/);
      human.type("G");
      await human.sees(/line-499-/);
      human.type("q");
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
    });
  });

  test("P1: Enter ~ . cancels a program that obeys nothing, and gives the terminal back", async () => {
    const program = "import signal,sys,time,tty; tty.setraw(0); [signal.signal(s, signal.SIG_IGN) for s in (1, 2, 15)]; print('hangs', flush=True); time.sleep(1000)"; // prettier-ignore
    await eachWay(["--", "python3", "-c", program], async (human) => {
      await human.sees(/hangs/);
      human.type("\x03\r~.");
      await human.sees(/cancelling/);
      assert.deepEqual(await human.leaves(), { code: 130, terminal: given });
    });
  });

  test("what cannot be: --detach with --pty; and without a terminal of our own it still works", async () => {
    const [, env] = ways[0]!;
    const refused = await system.daemon.client(["exec", "--pty", "--detach", "--", "cat"], { env });
    assert.deepEqual([refused.code, /--detach and --pty exclude each other/.test(refused.stderr)], [64, true]);
    const piped = await system.daemon.client(["exec", "--pty", "--", "sh", "-c", "stty size; cat; echo end"], {
      env,
      input: "~.typed\nhalf",
    });
    // What the terminal echoes and what cat writes may come in either order.
    assert.deepEqual([piped.code, piped.stderr], [0, ""]);
    const shown = piped.stdout.toString();
    assert.match(shown, /24 80\r\n[^]*end\r\n$/);
    assert.deepEqual(
      [shown.match(/~\.typed\r\n/g)?.length, shown.match(/half/g)?.length, shown.length],
      [2, 2, 7 + 18 + 8 + 5],
    );
  });
});

describe("exec --stdin", () => {
  test("P6: 50 MB through a pipe are exact, here and through the cloud", async () => {
    const bytes = randomBytes(50 * megabyte);
    const program = "import hashlib,sys; data=sys.stdin.buffer.read(); print(len(data), hashlib.sha256(data).hexdigest())"; // prettier-ignore
    for (const client of [system.daemon.client.bind(system.daemon), system.client]) {
      const { code, stdout, stderr } = await client(["exec", "--stdin", "--", "python3", "-c", program], {
        input: bytes,
      });
      const expected = `${bytes.length} ${createHash("sha256").update(bytes).digest("hex")}\n`;
      assert.deepEqual([code, stderr, stdout.toString()], [0, "", expected]);
    }
  });
});

describe("a terminal that outlives its connections", () => {
  test("P3, C1: the daemon is killed and the cloud restarted under it: nothing typed is lost or doubled", async () => {
    const reader = "import sys\nfor line in sys.stdin: print('got', line.strip(), flush=True)";
    await eachWay(["--", "python3", "-c", reader], async (human, way) => {
      human.type("one\r");
      await human.sees(/got one/);
      if (way === "cloud") await system.cloud.restart();
      else {
        await system.daemon.kill();
        await human.sees(/connection was lost/);
        assert.equal((await human.modes()).raw, true);
        human.type("two\r");
        await system.daemon.restart();
      }
      if (way === "cloud") human.type("two\r");
      await human.sees(/connected again/);
      await human.sees(/got two/);
      human.type("three\r\x04");
      await human.sees(/got three/);
      assert.deepEqual(await human.leaves(), { code: 0, terminal: given });
      assert.deepEqual(human.shown.match(/got \w+/g), ["got one", "got two", "got three"]);
    });
  });

  test("the daemon is killed and does not come back: Enter ~ . twice leaves at once and the terminal is given back", async () => {
    await using own = await startSystem({ config });
    using human = new Human("hl-client", ["exec", "--pty", "--", "sh", "-c", "stty raw; echo up; exec sleep 1000"], {
      env: { HL_DAEMON_HOME: own.daemon.home },
    });
    await human.sees(/up/);
    await own.daemon.kill();
    await human.sees(/connection was lost/);
    human.type("\r~.~.");
    assert.deepEqual(await human.leaves(), { code: 130, terminal: given });
    await own.daemon.restart();
    using client = await own.daemon.connect();
    const { commands } = await client.call("command/list");
    await client.call("command/cancel", { command_id: commands[0].command_id, grace: 0 });
    client[Symbol.dispose]();
    await own.daemon.program.stop();
    await noProcessOf(own.daemon.home);
  });

  test("SIGTERM to the client cancels the command and gives the terminal back", async () => {
    await eachWay(["--", "sh", "-c", "stty raw; echo up; exec sleep 1000"], async (human) => {
      await human.sees(/up/);
      human.signal("SIGTERM");
      assert.deepEqual(await human.leaves(), { code: 143, terminal: given });
    });
  });
});
