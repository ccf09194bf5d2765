/**
 * Goal: X1, X2: what a command or an agent was not given it can neither touch nor reach, and the attacks are real: without the sandbox
 * they succeed. Method: attack.py inside a real daemon's real sandbox tries each of them and says what came of it; `attacks.ts` says what has to.
 * Run as root the suite is run once more as an ordinary user (ordinary-user.test.ts).
 */
import assert from "node:assert/strict";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { join } from "node:path";
import { describe, test, type TestContext } from "node:test";
import { processesOf } from "@hl/testkit/processes.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";
import { attacks, nothingToRoot, type Attack } from "./attacks.ts";

const python = "/usr/bin/python3";
const isRoot = process.getuid?.() === 0;
const who = isRoot ? "root" : "an ordinary user";

interface Outcome {
  readonly attack: string;
  readonly succeeded: boolean;
  readonly detail: string;
}

type Network = "host" | "none" | "proxy";

/** A daemon with something to attack around it. */
class Field implements AsyncDisposable {
  readonly daemon: TestDaemon;
  readonly #places: string;
  readonly #stack: AsyncDisposableStack;

  private constructor(daemon: TestDaemon, places: string, stack: AsyncDisposableStack) {
    this.daemon = daemon;
    this.#places = places;
    this.#stack = stack;
  }

  static async make(sandboxed: boolean, network: Network = "host"): Promise<Field> {
    await using stack = new AsyncDisposableStack();
    const outside = stack.use(temporaryFolder("hl-outside")).path;
    const agent = stack.use(temporaryFolder("hl-agent")).path;
    const daemon = stack.use(
      await TestDaemon.start({
        config: {
          security: { sandbox_mode: sandboxed, sandbox: { network } },
          process_management: { allowed_commands: ["python3"] },
          claude_integration: {
            binary_path: join(agent, "agent"),
            protocol: "stream-json",
            start_timeout_seconds: 120,
          },
        },
      }),
    );
    for (const name of ["secret", "victim", `removable-${daemon.workspace.split("/").at(-1)}`]) {
      writeFileSync(join(outside, name), "secret");
    }
    copyFileSync(join(import.meta.dirname, "attack.py"), join(daemon.workspace, "attack.py"));
    const places = join(daemon.workspace, "places.json");
    writeFileSync(join(agent, "agent"), agentScript(daemon.workspace));
    chmodSync(join(agent, "agent"), 0o755);
    const abstract = `hl-attack-${process.pid}-${performance.now()}`;
    const listening = createServer((socket) => socket.end()).listen(`\0${abstract}`);
    const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
    const datagrams = createSocket("udp4", (_, from) => datagrams.send("pong", from.port, from.address));
    datagrams.bind(0, "127.0.0.1");
    await Promise.all([once(listening, "listening"), once(server, "listening"), once(datagrams, "listening")]);
    for (const opened of [listening, server, datagrams]) stack.defer(() => void opened.close());
    writeFileSync(
      places,
      JSON.stringify({
        workspace: daemon.workspace,
        outside,
        home: daemon.home,
        daemon_pid: daemon.pid,
        daemon_address: Number.parseInt(readFileSync(`/proc/${daemon.pid}/maps`, "latin1").split("-")[0] ?? "0", 16),
        daemon_socket: daemon.program.ready.socket,
        runner_pid: residentOf(daemon),
        runner_socket: join(daemon.home, "data/state/runner.sock"),
        abstract,
        tcp_port: (server.address() as { port: number }).port,
        udp_port: datagrams.address().port,
        only: [],
      }),
    );
    return new Field(daemon, places, stack.move());
  }

  async asCommand(): Promise<Map<string, Outcome>> {
    using client = await this.daemon.connect();
    const args = [join(this.daemon.workspace, "attack.py"), this.#places];
    const params = { command_id: "attacks", command: python, args, timeout: 120 };
    const result = await client.call("command/execute", params, 130_000);
    assert.equal(result.exit_code, 0, JSON.stringify(result));
    return outcomesOf(result.stdout);
  }

  /** The agent is a program that does nothing but attack; that it then is no agent is another matter. */
  async asAgent(): Promise<Map<string, Outcome>> {
    using client = await this.daemon.connect();
    const told = join(this.daemon.workspace, "agent.out");
    client.call("claude/start", { workspace_path: this.daemon.workspace }).catch(() => {});
    await until("the agent's attacks", () => existsSync(`${told}.done`), 120_000);
    return outcomesOf(readFileSync(told, "utf8"));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#stack[Symbol.asyncDispose]();
  }
}

function agentScript(workspace: string): string {
  return `#!/bin/sh
cd ${workspace}
${python} attack.py places.json > agent.out
: > agent.out.done
`;
}

function residentOf(daemon: TestDaemon): number {
  const found = processesOf(daemon.home).find(({ commandLine }) => /hl-runner.*serve/.test(commandLine));
  assert.ok(found !== undefined, "hl-runner serve is not among the daemon's processes");
  return found.pid;
}

function outcomesOf(text: string): Map<string, Outcome> {
  const lines = text.split("\n").filter((line) => line !== "");
  return new Map(lines.map((line) => JSON.parse(line) as Outcome).map((outcome) => [outcome.attack, outcome]));
}

type Expected = (attack: Attack) => boolean | undefined;

/** `no attack`: who is root has it already. `not held`: SECURITY.md says that this is not promised, or not with this network. */
function table(
  context: TestContext,
  title: string,
  outcomes: ReadonlyMap<string, Outcome>,
  expected: Expected = () => true,
): void {
  context.diagnostic(`${title}, as ${who}`);
  for (const attack of attacks) {
    const { name } = attack;
    const outcome = outcomes.get(name);
    let verdict = outcome === undefined ? "NO ANSWER" : outcome.succeeded ? "SUCCEEDED" : "refused";
    if (outcome?.succeeded === true && expected(attack) === undefined)
      verdict = isNothing(name) ? "no attack" : "not held";
    context.diagnostic(`  ${name.padEnd(52)} ${verdict.padEnd(9)} ${outcome?.detail ?? ""}`);
  }
}

/** Answers what came out otherwise than it has to. */
function surprises(outcomes: ReadonlyMap<string, Outcome>, expected: Expected): string[] {
  return attacks.flatMap((attack) => {
    const outcome = outcomes.get(attack.name);
    if (outcome === undefined) return [`${attack.name}: no answer`];
    const wanted = expected(attack);
    if (wanted === undefined || wanted === outcome.succeeded) return [];
    return [`${attack.name}: ${outcome.succeeded ? "succeeded" : "was refused"}: ${outcome.detail}`];
  });
}

const isNothing = (name: string): boolean => isRoot && nothingToRoot.includes(name);

const refusedIn =
  (network: Network) =>
  ({ name, refused }: Attack): boolean | undefined => {
    if (isNothing(name) || refused === "never") return undefined;
    if (refused === "network" && network === "host") return undefined;
    return false;
  };

const realWithout = ({ name, without }: Attack): boolean | undefined => {
  if (isNothing(name) || without === "depends") return undefined;
  if (without === "nobody") return false;
  return without === "anybody" || (without === "root") === isRoot;
};

const skip = existsSync(python) ? false : `there is no ${python}`;

describe(`attacks from inside, as ${who}`, { skip }, () => {
  test("X1: with sandbox_mode off the attacks are real: they come as far as the user may", async (context) => {
    await using field = await Field.make(false);
    const outcomes = await field.asCommand();
    table(context, "a command, no sandbox", outcomes);
    assert.deepEqual(surprises(outcomes, realWithout), []);
  });

  for (const network of ["host", "none", "proxy"] as const) {
    test(`X1: a command is refused every one of them, network ${network}`, async (context) => {
      await using field = await Field.make(true, network);
      const outcomes = await field.asCommand();
      table(context, `a command, network ${network}`, outcomes, refusedIn(network));
      assert.deepEqual(surprises(outcomes, refusedIn(network)), []);
    });
  }

  test("X1: an agent is refused every one of them", async (context) => {
    await using field = await Field.make(true);
    mkdirSync(join(field.daemon.home, "data"), { recursive: true });
    const outcomes = await field.asAgent();
    table(context, "an agent", outcomes, refusedIn("host"));
    assert.deepEqual(surprises(outcomes, refusedIn("host")), []);
  });
});
