/**
 * Goal: a request that cannot be carried out is refused with its code, the value and what to do, and has started nothing: its
 * command_id is free (C1). Method: a table of mistakes at the real daemon; afterwards its folders, its table, its events and its
 * processes are what they were.
 */
import assert from "node:assert/strict";
import { chmodSync, mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { CallFailed, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { descendantsOf } from "@hl/testkit/processes.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const config = {
  process_management: {
    allowed_commands: ["true", "sh", "env", "echo", "sleep", "script", "folder", "plain", "text", "absent", "nowhere"],
    resource_limits: { max_execution_time: 100 },
  },
  security: { file_access: { allowed_paths: ["workspace"], blocked_paths: ["workspace/blocked"] } },
};

/** What is wrong, the parameters over `true`, the code, and what the message or the problem must say. */
type Mistake = readonly [name: string, params: object, code: number, said: RegExp];

const invalid = -32602;
const long = "x".repeat(300);
const many = (count: number, text: string): string[] => Array.from({ length: count }, () => text);

const executables: readonly Mistake[] = [
  ["an unknown name", { command: "absent" }, 1105, /"absent" in \/usr/],
  ["an unknown path", { command: "./absent" }, 1105, /"\.\/absent" at ".*\/workspace\/absent"/],
  ["a link to nowhere", { command: "./nowhere" }, 1105, /"\.\/nowhere"/],
  ["a folder", { command: "./folder" }, 1105, /"\.\/folder" is not a file/],
  ["a file that is not executable", { command: "./plain" }, 1105, /"\.\/plain" is not executable/],
  ["a script without its interpreter", { command: "./script" }, 1105, /"\.\/script".*interpreter.*does not exist/],
  ["an executable text without #!", { command: "./text" }, 1105, /"\.\/text".*neither a program.*nor a script/],
  ["a name that is too long for a file", { command: `./${long}` }, 1102, /x{300}.*allowed_commands/],
  ["a name over the limit", { command: "x".repeat(4_097) }, invalid, /command: .*4096.*received.*xxx/],
  ["one that is not allowed", { command: "id" }, 1102, /"id" is not allowed.*allowed_commands/],
  ["one that is blocked", { command: "sudo" }, 1101, /"sudo" is blocked by the rule "sudo"/],
  ["no text", { command: "" }, invalid, /command: /],
  ["no command", { command: undefined }, invalid, /command: .*received.*nothing/],
  ["a number", { command: 5 }, invalid, /command: .*received.*5/],
  ["a shell line", { command: "echo hi" }, 1101, /"echo hi" is blocked.*"args"/],
  ...["echo;id", "echo|id", "$(id)", "`id`", "echo>x", "ec*o", "echo&", "echo\n", "echo\0", "'echo'"].map(
    (command): Mistake => ["a metacharacter", { command }, 1101, /is blocked: ".*" has no meaning here/],
  ),
];

const inputs: readonly Mistake[] = [
  ["args that are no list", { args: "x" }, invalid, /args: .*received.*x/],
  ["args that are null", { args: null }, invalid, /args: .*received.*null/],
  ["a number among args", { args: ["a", 1] }, invalid, /args\.1: .*received.*1/],
  ["a NUL in args", { args: ["a\0b"] }, invalid, /args\.0: must not contain NUL.*a.*u0000b/],
  ["half a character in args", { args: ["\ud800"] }, invalid, /args\.0: .*surrogate/],
  ["an argument over the limit", { args: ["x".repeat(131_072)] }, invalid, /args\.0: .*131071/],
  ["10 001 arguments", { args: many(10_001, "x") }, invalid, /args: .*10000/],
  [
    "an argument the kernel refuses",
    { args: ["€".repeat(131_071)] },
    invalid,
    /"true" are larger than the kernel takes/,
  ],
  ["3.5 MB of arguments", { args: many(35, "x".repeat(100_000)) }, invalid, /larger than the kernel takes/],
  ["more than a frame holds", { args: many(60, "x".repeat(100_000)) }, invalid, /larger than the kernel takes/],
  ["a directory that is missing", { cwd: "missing" }, 1110, /workspace\/missing" does not exist/],
  ["a directory that is a file", { cwd: "plain" }, 1110, /workspace\/plain" is not a directory/],
  ["a directory in a loop of links", { cwd: "loop" }, 1110, /workspace\/loop"/],
  ["a directory outside", { cwd: "/etc" }, 1103, /"\/etc" is outside the allowed paths \(.*workspace\)/],
  ["a directory above", { cwd: ".." }, 1103, /outside the allowed paths/],
  ["a link to the outside", { cwd: "out" }, 1103, /workspace\/out" is outside/],
  ["a directory that is blocked", { cwd: "blocked" }, 1103, /workspace\/blocked" is inside a blocked path/],
  ["a directory with NUL", { cwd: "a\0b" }, invalid, /cwd: must not contain NUL.*a.*u0000b/],
  ["a directory without a name", { cwd: "" }, invalid, /cwd: /],
  ["a directory with a name too long", { cwd: long }, 1110, /x{300}" does not exist/],
  ["a directory over the limit", { cwd: "x/".repeat(2_049) }, invalid, /cwd: .*4096/],
  ...["", "A=B", "A\0", "1A", "A B", "A-B", "é"].map((name): Mistake => [
    "a variable's name",
    { env: { [name]: "x" } },
    invalid,
    /env\..*must be a valid environment/,
  ]),
  ["NUL in a variable", { env: { A: "x\0y" } }, invalid, /env\.A: must not contain NUL/],
  ["a variable that is a number", { env: { A: 5 } }, invalid, /env\.A: .*received.*5/],
  ["a variable over the limit", { env: { A: "x".repeat(131_073) } }, invalid, /env\.A: .*131072/],
  ["a variable the kernel refuses", { env: { A: "x".repeat(131_072) } }, invalid, /larger than the kernel takes/],
  ["variables in a list", { env: ["A=B"] }, invalid, /env: .*received.*A=B/],
  ["a search path that leads nowhere", { env: { PATH: "/absent" } }, 1105, /"true" in \/absent/],
  ...[0, -0, -1, -1e-9].map((timeout): Mistake => [
    "a timeout",
    { timeout },
    invalid,
    /timeout: must be a positive number/,
  ]),
  ["a timeout without end", { timeout: 1e300 }, invalid, /timeout: .*31536000.*1e\+300/],
  ["a timeout over the configured one", { timeout: 101 }, invalid, /101 s is over max_execution_time \(100 s\)/],
  ["a timeout in words", { timeout: "5" }, invalid, /timeout: .*received.*5/],
  ["an idle timeout of nothing", { idle_timeout: 0 }, invalid, /idle_timeout: must be a positive number/],
  ["another user", { user: "nobody" }, 1108, /"nobody"/],
  ["text for stdin", { stdin: "hello" }, invalid, /stdin: .*received.*hello/],
];

describe("bad input to command/*", () => {
  let daemon: TestDaemon;
  let client: MessageClient;
  const started: string[] = [];

  const execute = (command_id: unknown, params: object = {}): Promise<Message> =>
    client.call("command/execute", { command_id, command: "true", ...params });

  before(async () => {
    daemon = await TestDaemon.start({ config });
    const at = (name: string): string => join(daemon.workspace, name);
    mkdirSync(at("folder"));
    mkdirSync(at("blocked"));
    writeFileSync(at("plain"), "text\n");
    writeFileSync(at("text"), "echo text\n");
    writeFileSync(at("script"), "#!/no/such/interpreter\n");
    for (const name of ["text", "script"]) chmodSync(at(name), 0o755);
    symlinkSync("loop", at("loop"));
    symlinkSync("/etc", at("out"));
    symlinkSync("nothing", at("nowhere"));
    client = await daemon.connect();
    client.listener = ({ method, params }: Message) => {
      if (method !== "event/event") return false;
      started.push(params.data.command_id as string);
      return true;
    };
    await client.call("event/subscribe", { types: ["process_start"] });
  });

  after(async () => {
    client[Symbol.dispose]();
    await daemon[Symbol.asyncDispose]();
  });

  test("C1: each mistake has its code, the value and what to do; it has started nothing, and its id is free", async () => {
    const table = [...executables, ...inputs];
    for (const [index, [name, params, code, said]] of table.entries()) {
      const error = await refusal(execute(`bad-${index}`, params), `${name} ${JSON.stringify(params).slice(0, 80)}`);
      const text = `${error.message} ${JSON.stringify(error.data)}`;
      assert.equal(error.code, code, `${name}: ${text.slice(0, 500)}`);
      assert.match(text, said, name);
      assert.ok(error.data.help.length > 10 && error.data.retry === "never", name);
      assert.equal(
        (await refusal(client.call("command/status", { command_id: `bad-${index}` }), name)).code,
        1107,
        name,
      );
    }
    assert.deepEqual([(await client.call("command/list")).commands, started], [[], []]);
    const runs = (): string[] => readdirSync(join(daemon.home, "data/runner")).filter((file) => !file.startsWith("."));
    assert.deepEqual(runs(), []);
    const temporary = join(daemon.home, "data/cache/tmp");
    await until("no folder to be left", () =>
      readdirSync(temporary).every((file) => file === "home" || file.startsWith(".")),
    );
    await until("nothing but shims", () => descendantsOf(daemon.pid).every(({ name }) => name.startsWith("hl-runner")));
    for (const index of table.keys()) assert.equal((await execute(`bad-${index}`)).status, "completed");
    await until("their events", () => started.length === table.length);
  });

  test("what JSON cannot say is refused before it is a number", async () => {
    for (const [timeout, code] of [
      ["NaN", -32700],
      ["Infinity", -32700],
      ["1e999", invalid],
    ] as const) {
      const params = `{"command_id":"raw","command":"true","timeout":${timeout}}`;
      client.raw(`{"jsonrpc":"2.0","id":"raw","method":"command/execute","params":${params}}\n`);
      assert.equal((await client.next(({ error }) => error !== undefined)).error.code, code, timeout);
    }
    assert.equal((await execute("raw")).status, "completed");
  });

  test("command_id: text of 1 to 256 characters without control characters; it is no path and no key", async () => {
    for (const id of ["", "x".repeat(257), "a\nb", "a\0", "\u007f", "\ud800", 5, null, undefined, ["a"]]) {
      const error = await refusal(execute(id), String(id));
      assert.equal(error.code, invalid);
      assert.match(error.message, /command_id: /);
    }
    const ids = ["x".repeat(256), "a/b", "../../etc", ".", "..", " ", "é😀", "%00", "__proto__", "constructor", "'--"];
    for (const id of ids) {
      const first = await execute(id, { command: "echo", args: [id] });
      assert.deepEqual([first.command_id, first.stdout], [id, `${id}\n`]);
      assert.equal((await client.call("command/status", { command_id: id })).process_id, first.process_id);
    }
  });

  test("what a caller may set: any name of its own; LD_PRELOAD and BASH_ENV reach its own program, in its own sandbox", async () => {
    const env = { lower_case: "1", _: "2", LD_PRELOAD: "/absent.so", BASH_ENV: "/absent", EMPTY: "", LINES_: "a\nb=c" };
    const { stdout, exit_code } = await execute("environment", { command: "env", args: ["-0"], env });
    assert.equal(exit_code, 0);
    const seen = new Map(
      (stdout as string).split("\0").map((one) => [one.split("=", 1)[0], one.replace(/^.*?=/s, "")]),
    );
    for (const [name, value] of Object.entries(env)) assert.equal(seen.get(name), value, name);
  });

  test("the least that can be asked for is a limit too: a timeout of a nanosecond is one, and not none", async () => {
    const sleep = { command: "sleep", args: ["1000"] };
    assert.equal((await execute("least", { ...sleep, timeout: 1e-9 })).reason, "timeout");
    assert.equal((await execute("least idle", { ...sleep, idle_timeout: 1e-9 })).reason, "idle_timeout");
  });

  test("A1: the other methods: every mistake is answered at once, and the command goes on", async () => {
    await execute("running", { command: "sleep", args: ["1000"], stream_output: true });
    await execute("ended", { command: "echo", args: ["four"] });
    const mistakes: readonly (readonly [method: string, params: object, code: number, said: RegExp])[] = [
      ...["SIGNOTHING", "KILL", "sigterm", "9", 9, "", "SIGSEGV"].map(
        (signal) => ["signal", { signal }, invalid, /signal: .*"SIGTERM".*received/] as const,
      ),
      ["cancel", { grace: -1 }, invalid, /grace: .*-1/],
      ["cancel", { grace: 31 }, invalid, /grace: .*30.*31/],
      ["logs", { offset: -1 }, invalid, /offset: .*-1/],
      ["logs", { offset: 1 }, invalid, /1 is behind the end of the output \(0\)/],
      ["logs", { offset: 0.5 }, invalid, /offset: .*0\.5/],
      ["logs", { limit: 0 }, invalid, /limit: /],
      ["logs", { limit: 1e9 }, invalid, /limit: .*4194304/],
      ["logs", { stream: "stdin" }, invalid, /stream: .*stdin/],
      ["subscribe", { offset: -1 }, invalid, /offset: .*-1/],
      ["subscribe", { command_id: "ended", offset: 6 }, invalid, /6 is behind the end of the output \(5\)/],
      ["input", { data: "!!!!", encoding: "base64" }, invalid, /"!!!!" is not base64/],
      ["input", { data: "YQ", encoding: "base64" }, invalid, /"YQ" is not base64/],
      ["input", { data: "a\ud800" }, invalid, /half a surrogate pair \("\\ud800"\) at 1/],
      ["input", { encoding: "hex" }, invalid, /encoding: .*hex/],
      ["input", { data: "x" }, invalid, /"running" has no standard input: it was started without `stdin` and `pty`/],
      ["input", { offset: -1 }, invalid, /offset: .*-1/],
      ["resize", { rows: 10, columns: 10 }, invalid, /"running" has no terminal: it was started without `pty`/],
      ["resize", { rows: 0, columns: 10 }, invalid, /rows: .*0/],
      ["resize", { rows: 10, columns: 65_536 }, invalid, /columns: .*65535.*65536/],
      ["resize", { rows: 10 }, invalid, /columns: .*nothing/],
      ["resize", { command_id: "unheard of", rows: 1, columns: 1 }, 1107, /"unheard of"/],
      ["signal", { signal: "SIGNAL" }, invalid, /SIGHUP.*SIGWINCH.*SIGNAL/],
      ["signal", { signal: 9 }, invalid, /SIGHUP.*SIGWINCH.*9/],
      ["status", { wait: -1 }, invalid, /wait: .*-1/],
      ...["status", "cancel", "logs", "subscribe", "input"].map(
        (method) => [method, { command_id: "unheard of" }, 1107, /"unheard of"/] as const,
      ),
      ["signal", { command_id: "unheard of", signal: "SIGTERM" }, 1107, /"unheard of"/],
    ];
    for (const [method, params, code, said] of mistakes) {
      const name = `${method} ${JSON.stringify(params)}`;
      const error = await refusal(client.call(`command/${method}`, { command_id: "running", ...params }), name);
      assert.equal(error.code, code, `${name}: ${error.message}`);
      assert.match(`${error.message} ${JSON.stringify(error.data)}`, said, name);
    }
    // Not a mistake: nobody reads any more, and the answer says so instead of waiting for ever.
    const unread = { accepted_bytes: 0, closed: true };
    assert.deepEqual(await client.call("command/input", { command_id: "ended", data: "x" }), unread);
    await execute("fed", { command: "sh", args: ["-c", "cat; sleep 1000"], stdin: true, stream_output: true });
    assert.equal((await client.call("command/input", { command_id: "fed", data: "x", eof: true })).accepted_bytes, 1);
    assert.deepEqual(await client.call("command/input", { command_id: "fed", data: "x" }), unread);
    for (const command_id of ["running", "fed"]) {
      assert.equal((await client.call("command/status", { command_id })).status, "started");
      await client.call("command/cancel", { command_id });
    }
  });
});

async function refusal(call: Promise<Message>, name: string): Promise<CallFailed["error"]> {
  const outcome: unknown = await call.catch((error: unknown) => error);
  assert.ok(outcome instanceof CallFailed, `${name} was not refused: ${JSON.stringify(outcome).slice(0, 300)}`);
  return outcome.error;
}
