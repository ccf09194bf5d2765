/**
 * Goal: P3: with an installed runner neither a stop, an upgrade nor a crash of the daemon, nor one of the resident runner, is noticed by a
 * command or missed by whoever follows it. Method: the real programs, restarted under a command that counts; what a subscriber has got
 * over all of it is compared with what the command wrote.
 */
import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, test } from "node:test";
import { InstalledRunner } from "@hl/testkit/installed-runner.ts";
import type { Message, MessageClient } from "@hl/testkit/message-client.ts";
import { isRunning } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const lines = 30_000;
const expected = createHash("sha256");
for (let line = 0; line < lines; line += 1) expected.update(`line ${line}\n`);
const expectedSum = expected.digest("hex");

/** Counts; stands still at each third until its file is there, so that a test meets it in the middle. */
const counting = [
  `i=0; while [ $i -lt ${lines} ]; do echo line $i; i=$((i+1));`,
  `case $i in 10000|20000) touch at-$i; while [ ! -e go-$i ]; do sleep 0.02; done;; esac; done; exit 3`,
].join(" ");

/** What a subscriber has got so far, over as many connections as it needs. */
class Follower {
  readonly #sum = createHash("sha256");
  readonly #commandId: string;
  position = 0;

  constructor(commandId: string) {
    this.#commandId = commandId;
  }

  get sum(): string {
    return this.#sum.copy().digest("hex");
  }

  follow(client: MessageClient): Promise<Message> {
    client.listener = ({ method, params }: Message) => {
      if (method === "command/gap") throw new Error(`a gap of ${params.bytes} bytes at ${params.position}`);
      if (method !== "command/output") return false;
      assert.equal(params.position, this.position);
      const bytes = Buffer.from(params.data, params.encoding === "base64" ? "base64" : "utf8");
      this.#sum.update(bytes);
      this.position += bytes.length;
      return true;
    };
    return client.call("command/subscribe", { command_id: this.#commandId, offset: this.position });
  }
}

async function endEvents(client: MessageClient): Promise<Message[]> {
  const { next_seq } = await client.call("event/subscribe", { after: 0, types: ["process_end", "event.marker"] });
  const marker = { event_id: `marker-${next_seq}`, event_type: "event.marker", timestamp: Date.now() / 1000, data: {} };
  await client.call("event/stream", marker);
  const events: Message[] = [];
  for (;;) {
    const { params } = await client.next(({ method }) => method === "event/event");
    if (params.event_id === marker.event_id) return events;
    if (params.event_type === "process_end") events.push(params);
  }
}

type Upset = (daemon: TestDaemon, runner: InstalledRunner) => Promise<void>;

const upsets: Readonly<Record<string, Upset>> = {
  "a stop and a start of the daemon": async (daemon) => {
    assert.equal(await daemon.program.stop("SIGTERM"), 0);
    await daemon.restart();
  },
  "a crash of the daemon": async (daemon) => {
    await daemon.kill();
    await daemon.restart();
  },
  "a crash of the resident runner": async (_daemon, runner) => runner.restart(),
  "a crash of both, the runner back first": async (daemon, runner) => {
    await Promise.all([daemon.kill(), runner.kill()]);
    await runner.restart();
    await daemon.restart();
  },
};

describe("upgrade", () => {
  for (const [name, upset] of Object.entries(upsets)) {
    test(`P3: ${name}, twice: the command goes on, its output is whole, its end is told once`, async () => {
      await using runner = await InstalledRunner.start();
      const process_management = { allowed_commands: ["sh", "echo"], ...runner.config };
      await using daemon = await TestDaemon.start({ config: { process_management } });
      const follower = new Follower("long");
      let client = await daemon.connect();
      const request = { command_id: "long", command: "sh", args: ["-c", counting], stream_output: true };
      const { process_id: pid } = await (await daemon.connect()).call("command/execute", request);
      await follower.follow(client);
      for (const third of ["10000", "20000"]) {
        await until("the command to be there", () => existsSync(join(daemon.workspace, `at-${third}`)));
        await upset(daemon, runner);
        assert.ok(isRunning(pid), "the command has noticed it");
        // It writes while nobody has asked for anything yet.
        writeFileSync(join(daemon.workspace, `go-${third}`), "");
        client[Symbol.dispose]();
        client = await daemon.connect();
        assert.equal((await follower.follow(client)).process_id, pid);
        const fresh = await client.call("command/execute", {
          command_id: `fresh-${third}`,
          command: "echo",
          args: ["x"],
        });
        assert.deepEqual([fresh.status, fresh.stdout], ["completed", "x\n"]);
      }
      const exited = await client.next(({ method }) => method === "command/exited");
      assert.deepEqual([exited.params.exit_code, exited.params.reason], [3, "exited"]);
      assert.equal(follower.sum, expectedSum);
      const events = (await endEvents(client)).filter(({ data }) => data.command_id === "long");
      assert.deepEqual(
        events.map(({ data }) => [data.exit_code, data.reason]),
        [[3, "exited"]],
      );
      const status = await client.call("command/status", { command_id: "long" });
      assert.deepEqual([status.exit_code, status.reason, status.stdout_bytes], [3, "exited", follower.position]);
      client[Symbol.dispose]();
    });
  }

  test("P3: in development the daemon's own resident is started again, and nothing of a running command is lost", async () => {
    await using daemon = await TestDaemon.start({
      config: { process_management: { allowed_commands: ["sh", "echo"] } },
    });
    using client = await daemon.connect();
    const follower = new Follower("long");
    const request = { command_id: "long", command: "sh", args: ["-c", counting], stream_output: true };
    await (await daemon.connect()).call("command/execute", request);
    await follower.follow(client);
    for (const third of ["10000", "20000"]) {
      await until("the command to be there", () => existsSync(join(daemon.workspace, `at-${third}`)));
      const resident = Number(
        /^\d+/.exec(readFileSync(`/proc/${daemon.pid}/task/${daemon.pid}/children`, "utf8"))?.[0],
      );
      process.kill(resident, "SIGKILL");
      const answers = await Promise.all(
        [1, 2, 3, 4].map((n) =>
          client.call("command/execute", { command_id: `${third}-${n}`, command: "echo", args: [`${n}`] }),
        ),
      );
      assert.deepEqual(
        answers.map(({ stdout }) => stdout),
        ["1\n", "2\n", "3\n", "4\n"],
      );
      await until("the log to say so", () => daemon.log.includes("hl-runner has ended; it is started again"));
      writeFileSync(join(daemon.workspace, `go-${third}`), "");
    }
    const exited = await client.next(
      ({ method, params }) => method === "command/exited" && params.command_id === "long",
    );
    assert.deepEqual([exited.params.exit_code, exited.params.reason], [3, "exited"]);
    assert.equal(follower.sum, expectedSum);
  });
});
