/**
 * Goal: with `none` a program reaches nothing but itself (X1), and where that cannot be had nothing starts (X2). Method: real programs in a namespace, and
 * first the same attack with the machine's network; a kernel without namespaces is one whose call for them is withheld.
 */
import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, statSync } from "node:fs";
import { createServer, type AddressInfo, type Server } from "node:net";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";

import { frame, TYPE } from "./frames.ts";
import { errno, Helpers } from "./helpers.ts";
import { orphans } from "./orphans.ts";
import { binary, isAlive, Runner, untilDead, type StartOptions } from "./runner.ts";

const probe = JSON.parse(execFileSync(binary, ["probe"], { encoding: "utf8" })) as Record<string, unknown>;
const needsLandlock = probe["landlock_abi"] === 0 ? "this kernel has no Landlock" : false;
const skip = needsLandlock || (probe["network_namespaces"] === true ? false : String(probe["network_problem"]));
const NONE = { sandbox: 1, network: 1 } as const;

const helpers = new Helpers("withhold");
let runner: Runner;
before(async () => {
  runner = await Runner.start();
});
after(async () => {
  await runner[Symbol.asyncDispose]();
  helpers[Symbol.dispose]();
});

const node = async (script: string, numbers: StartOptions["numbers"]): Promise<string> => {
  const argv = [process.execPath, "-e", script];
  const { stdout, stderr } = await runner.run({ argv, numbers: numbers ?? {}, allowRead: ["/"], allowWrite: [runner.folder, "/dev/null"] }); // prettier-ignore
  return stdout.toString().trim() + stderr.toString();
};
const connecting = (port: number, host: string): string =>
  `require("net").connect(${String(port)}, "${host}").on("error", (e) => console.log(e.code)).on("connect", () => { console.log("in"); process.exit() })`;

async function listen(...where: [number, string] | [string]): Promise<Server & AsyncDisposable> {
  const server = createServer((socket) => socket.end());
  if (where.length === 2) server.listen(where[0], where[1]);
  else server.listen(where[0]);
  await once(server, "listening");
  return server;
}

describe("a network namespace", { skip }, () => {
  test("X1: the machine's servers and the metadata address are out of reach", async () => {
    await using server = await listen(0, "127.0.0.1");
    const { port } = server.address() as AddressInfo;
    assert.equal(await node(connecting(port, "127.0.0.1"), { sandbox: 1 }), "in", "the attack is real");
    assert.equal(await node(connecting(port, "127.0.0.1"), NONE), "ECONNREFUSED");
    assert.equal(await node(connecting(80, "169.254.169.254"), NONE), "ENETUNREACH");
    assert.equal(await node(connecting(53, "::ffff:8.8.8.8"), NONE), "ENETUNREACH");
  });

  test("X1: abstract sockets of the machine are out of reach, also where Landlock does not know them", async () => {
    const name = `\\0hl-network-${String(process.pid)}`;
    await using server = await listen(`\0hl-network-${String(process.pid)}`);
    assert.ok(server.listening);
    const script = connecting(0, "").replace('0, ""', `"${name}"`);
    assert.equal(await node(script, {}), "in", "the attack is real");
    // Landlock says EPERM first, from its ABI 6 on.
    assert.match(await node(script, NONE), /^(EPERM|ECONNREFUSED)$/);
  });

  test("a unix socket with a path is reached: only its permission bits guard it", async () => {
    const path = join(runner.folder, "by-path.sock");
    await using server = await listen(path);
    assert.ok(server.listening);
    assert.equal(await node(connecting(0, "").replace('0, ""', `"${path}"`), NONE), "in");
  });

  test("nothing is there but loopback, and that works", async () => {
    const script = `const net = require("net");
      console.log(Object.keys(require("os").networkInterfaces()).join());
      const server = net.createServer((socket) => socket.end("own")).listen(0, "127.0.0.1", () =>
        net.connect(server.address().port, "127.0.0.1").on("data", (d) => { console.log(d.toString()); process.exit(); }));`;
    assert.equal(await node(script, NONE), "lo\nown");
  });

  test("files belong to the same user inside and outside", async () => {
    mkdirSync(join(runner.folder, "own"));
    const script = `cd ${runner.folder}/own && touch f && stat -c '%u %g' f . && id -u && id -g`;
    const { stdout } = await runner.run({ argv: ["/bin/sh", "-c", script], numbers: NONE, allowRead: ["/"], allowWrite: [runner.folder] }); // prettier-ignore
    const { uid, gid } = statSync(join(runner.folder, "own/f"));
    const both = `${String(uid)} ${String(gid)}`;
    assert.equal(stdout.toString(), `${both}\n${both}\n${String(uid)}\n${String(gid)}\n`);
    assert.deepEqual([uid, gid], [process.getuid?.(), process.getgid?.()]);
  });

  test("P1: a program in a namespace ends with its shim, and when it is told to", async () => {
    await using own = await Runner.start();
    own.shimDeathsExpected = 1;
    const start: StartOptions = { argv: ["/bin/sleep", "100"], numbers: NONE, allowRead: ["/"] };
    const killed = own.start(start);
    const { pid, shim_pid } = await killed.frame(TYPE.started);
    process.kill(Number(shim_pid), "SIGKILL");
    await untilDead(Number(pid));
    const { end } = await own.run({ ...start, numbers: { ...NONE, timeout_ms: 50 } });
    assert.equal(end["reason"], "timeout");
  });
});

test(
  "P1: SWEEP finds what is left in a namespace by its mark, also below another user namespace",
  { skip },
  async () => {
    const script = "setsid sh -c 'echo $$; exec sleep 1000' & wait";
    const start = { numbers: NONE, allowRead: ["/"], allowWrite: ["/dev/null"] };
    const { runner: next, id, pids } = await orphans(script, 1, ["--cgroup", "off"], undefined, start);
    await using _ = next;
    assert.deepEqual(pids.map(isAlive), [true]);
    const connection = next.connect();
    connection.send(frame(TYPE.sweep, [["id", id]]));
    await connection.frame(TYPE.empty);
    await connection.untilClosed();
    assert.deepEqual(pids.map(isAlive), [false]);
  },
);

test("a shim says the same of its kernel as the command line does", async () => {
  const connection = runner.connect();
  connection.send(frame(TYPE.probe));
  const said = JSON.parse(String((await connection.frame(TYPE.probed))["message"])) as Record<string, unknown>;
  await connection.untilClosed();
  for (const name of ["landlock_abi", "seccomp", "capabilities_dropped", "network_namespaces", "network_problem"])
    assert.equal(said[name], probe[name], name);
  assert.equal(said["network_namespaces"], said["network_problem"] === "");
});

describe("a network that cannot be had", { skip: needsLandlock }, () => {
  for (const [error, name] of [
    [
      errno.EPERM,
      "Operation not permitted; user namespaces are disabled \\(user.max_user_namespaces or the kernel's or an LSM's policy\\)",
    ],
    [errno.ENOSPC, "No space left on device; there may be no more of them"],
  ] as const) {
    test(`X2: nothing starts without a namespace (errno ${String(error)}), and the reason is told`, async () => {
      const withhold = helpers.path("withhold");
      const lacking = ["unshare", String(error)];
      await using own = await Runner.start([], undefined, [withhold, ...lacking]);
      const started = join(own.folder, "started");
      for (const network of [1, 2]) {
        const failed = await own.failed({ argv: ["/bin/touch", started], numbers: { sandbox: 1, network }, proxySocket: "/no", allowRead: ["/"], allowWrite: ["/"] }); // prettier-ignore
        assert.equal(failed["stage"], "sandbox");
        assert.equal(failed["errno"], error);
        assert.match(String(failed["message"]), new RegExp(`^a network namespace: ${name}`));
      }
      assert.equal(existsSync(started), false);
      const said = JSON.parse(execFileSync(withhold, [...lacking, binary, "probe"], { encoding: "utf8" })) as Record<
        string,
        unknown
      >;
      assert.equal(said["network_namespaces"], false);
      assert.match(String(said["network_problem"]), new RegExp(`^a network namespace: ${name}`));
    });
  }

  test("X2: a network of its own needs the rest of the sandbox, and the proxy needs a place", async () => {
    const argv = ["/bin/true"];
    for (const [options, why] of [
      [{ argv, numbers: { network: 1 } }, /needs sandbox/],
      [{ argv, numbers: { network: 3, sandbox: 1 } }, /network is not 0, 1 or 2/],
      [{ argv, numbers: { allow_namespaces: 2 } }, /allow_namespaces is not 0 or 1/],
      [{ argv, numbers: { network: 2, sandbox: 1 } }, /proxy_socket is missing/],
      [{ argv, numbers: { network: 2, sandbox: 1 }, proxySocket: "relative" }, /proxy_socket is not an absolute path/],
      [{ argv, numbers: { network: 2, sandbox: 1 }, proxySocket: `/${"n".repeat(107)}` }, /at most 107/],
    ] satisfies [StartOptions, RegExp][]) {
      const failed = await runner.failed(options);
      assert.equal(failed["stage"], "protocol");
      assert.match(String(failed["message"]), why);
    }
  });
});
