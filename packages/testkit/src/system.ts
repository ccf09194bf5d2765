/**
 * The real programs brought up for a test: a daemon in a home of its own, hl-cloud, or both with the daemon enrolled. Either
 * can be killed, stopped and started again on the same home; everything is stopped and removed at the end.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { connectSocket, connectSocketFrames, type Message, type MessageClient } from "./message-client.ts";
import { calm } from "./calm.ts";
import { copyHome } from "./copy-home.ts";
import { http } from "./http.ts";
import { Operator } from "./operator.ts";
import { noProcessOf } from "./processes.ts";
import {
  cloudSubcommand,
  makeDaemonHome,
  printedToken,
  runProgram,
  startCloud,
  startDaemon,
  temporaryFolder,
  type CloudReady,
  type DaemonReady,
  type Finished,
  type RunningProgram,
  type SpawnOptions,
} from "./programs.ts";

type Configuration = Readonly<Record<string, object>>;

/** Quick to retry and to ship, and never alarmed by how busy the machine is that runs the tests. */
const testConfiguration: Configuration = {
  health_monitoring: { check_interval: 1, alerts: { ...calm, disk_threshold: 100 } },
  event_streaming: { flush_interval: 0.05 },
  cloud_api: { connection: { retry_delay: 0.1, max_retry_delay: 1, drain_spread_max: 1 } },
};

export interface DaemonOptions {
  /** Sections of daemon.json, over the test's own. */
  readonly config?: Configuration | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
  /** As in SpawnOptions; not for a restart. */
  readonly through?: readonly string[] | undefined;
  /** Makes the fresh home ready before the first start, as by a mount; what it returns is disposed of before the home is removed. */
  readonly prepare?: ((home: string) => Disposable) | undefined;
}

interface OwnedFolder {
  readonly folder: Disposable;
  readonly prepared: Disposable | undefined;
}

/** A daemon and its home. */
export class TestDaemon implements AsyncDisposable {
  readonly home: string;
  readonly workspace: string;
  #program: RunningProgram<DaemonReady>;
  readonly #folder: Disposable;
  readonly #prepared: Disposable | undefined;
  readonly #env: Readonly<Record<string, string>>;

  private constructor(
    home: string,
    program: RunningProgram<DaemonReady>,
    owned: OwnedFolder,
    env: DaemonOptions["env"],
  ) {
    this.home = home;
    this.workspace = join(home, "workspace");
    this.#program = program;
    this.#folder = owned.folder;
    this.#prepared = owned.prepared;
    this.#env = env ?? {};
  }

  static async start(options: DaemonOptions = {}): Promise<TestDaemon> {
    const folder = temporaryFolder("hl");
    const home = folder.path;
    makeDaemonHome(home, { ...testConfiguration, ...options.config });
    const { env, through, prepare } = options;
    const prepared = prepare?.(home);
    return new TestDaemon(home, await startDaemon(home, { env, through }), { folder, prepared }, env);
  }

  get program(): RunningProgram<DaemonReady> {
    return this.#program;
  }

  get pid(): number {
    return this.#program.pid;
  }

  get token(): string {
    return readFileSync(join(this.home, "data/auth/local_token"), "utf8").trim();
  }

  get url(): string {
    return `http://${this.#program.ready.http}`;
  }

  /** The daemon's log so far; for the message of a failure. */
  get log(): string {
    return readFileSync(join(this.home, "logs/daemon.log"), "utf8");
  }

  /** A connection to the unix socket that has logged in. */
  connect(): Promise<MessageClient> {
    return connectSocket(this.#program.ready.socket, this.token);
  }

  connectWebSocket(): Promise<MessageClient> {
    return connectSocketFrames(`ws://${this.#program.ready.http}/rpc`, this.token);
  }

  /** One message to `POST /rpc`, and the message that answers it. */
  async post(message: Message): Promise<Message> {
    return (await http(`${this.url}/rpc`, { body: message, token: this.token })).json;
  }

  /** hl-client at this daemon. */
  client(args: readonly string[], options: SpawnOptions = {}): Promise<Finished> {
    return runProgram("hl-client", args, { ...options, env: { HL_DAEMON_HOME: this.home, ...options.env } });
  }

  healthCheck(args: readonly string[] = []): Promise<Finished> {
    return runProgram("hl-health-check", args, { env: { HL_DAEMON_HOME: this.home } });
  }

  /** Ends as a crash or a power cut ends it: no code of its own runs. */
  async kill(): Promise<void> {
    await this.#program.stop("SIGKILL");
  }

  /** A fresh process on the same home. */
  async restart(): Promise<void> {
    await this.#program.stop();
    this.#program = await startDaemon(this.home, { env: this.#env });
  }

  /** Copies the home as it is at one moment, for which the daemon stands still. The answer starts another daemon on the copy. */
  async copy(): Promise<() => Promise<TestDaemon>> {
    const folder = temporaryFolder("hl");
    this.#program.signal("SIGSTOP");
    try {
      await copyHome(this.home, folder.path);
    } finally {
      this.#program.signal("SIGCONT");
    }
    const env = this.#env;
    return async () =>
      new TestDaemon(folder.path, await startDaemon(folder.path, { env }), { folder, prepared: undefined }, env);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
    await noProcessOf(this.home);
    this.#prepared?.[Symbol.dispose]();
    this.#folder[Symbol.dispose]();
  }
}

export interface CloudOptions {
  /** More of `hl-cloud serve`, kept over a restart. */
  readonly args?: readonly string[] | undefined;
  readonly env?: Readonly<Record<string, string>> | undefined;
}

type Folder = ReturnType<typeof temporaryFolder>;

/** hl-cloud and its home. It keeps its address over a restart, as a real one does. */
export class TestCloud implements AsyncDisposable {
  #home: string;
  readonly url: string;
  readonly operatorTokenFile: string;
  readonly operatorToken: string;
  #program: RunningProgram<CloudReady>;
  readonly #folder: Folder;
  readonly #args: readonly string[];
  readonly #env: Readonly<Record<string, string>>;
  #backups = 0;

  private constructor(
    home: string,
    program: RunningProgram<CloudReady>,
    token: string,
    folder: Folder,
    { args, env }: CloudOptions,
  ) {
    this.#home = home;
    this.url = program.ready.url;
    this.operatorToken = token;
    this.operatorTokenFile = join(home, "operator-token");
    this.#program = program;
    this.#folder = folder;
    this.#args = args ?? [];
    this.#env = env ?? {};
  }

  /** On any free port; an operator with every right is made. */
  static async start(options: CloudOptions = {}): Promise<TestCloud> {
    const folder = temporaryFolder("hl-cloud");
    const { args = [], env } = options;
    const program = await startCloud(folder.path, { args, env });
    const token = await printedToken(["operator", "add", "tester", "--home", folder.path, "--role", "admin"]);
    const cloud = new TestCloud(folder.path, program, token, folder, options);
    writeFileSync(cloud.operatorTokenFile, `${token}\n`, { mode: 0o600 });
    return cloud;
  }

  /** The one that is served; another one after a restore. */
  get home(): string {
    return this.#home;
  }

  get pid(): number {
    return this.#program.pid;
  }

  enroll(instanceId: string): Promise<string> {
    return printedToken(["enroll", "--home", this.home, "--instance", instanceId]);
  }

  operator(instanceId: string): Operator {
    return new Operator(this.url, this.operatorToken, instanceId);
  }

  async stop(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    await this.#program.stop(signal);
  }

  async restart(): Promise<void> {
    await this.#program.stop();
    this.#program = await startCloud(this.home, { listen: new URL(this.url).host, env: this.#env, args: this.#args });
  }

  /** Beside the running server, into a file that is gone with this cloud. */
  async backup(): Promise<string> {
    const file = join(this.#folder.path, `backup-${this.#backups++}`);
    await cloudSubcommand(["backup", "--home", this.home, "--to", file]);
    return file;
  }

  /** The machine is lost, and another one takes its address with what a backup has. */
  async restore(file: string): Promise<void> {
    await this.#program.stop("SIGKILL");
    const home = join(this.#folder.path, `home-${this.#backups++}`);
    await cloudSubcommand(["restore", "--home", home, "--from", file]);
    this.#home = home;
    await this.restart();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#program.stop();
    this.#folder[Symbol.dispose]();
  }
}

/** Both, the daemon enrolled and connected. */
export interface TestSystem extends AsyncDisposable {
  readonly cloud: TestCloud;
  readonly daemon: TestDaemon;
  readonly operator: Operator;
  /** hl-client through the cloud. */
  readonly client: (args: readonly string[], options?: SpawnOptions) => Promise<Finished>;
}

export const testInstanceId = "test-vm-001";

export async function startSystem(options: DaemonOptions = {}): Promise<TestSystem> {
  await using stack = new AsyncDisposableStack();
  const cloud = stack.use(await TestCloud.start());
  const env = {
    HL_CLOUD_API__BASE_URL: cloud.url,
    HL_ENROLLMENT_TOKEN: await cloud.enroll(testInstanceId),
    HL_DAEMON__INSTANCE_ID: testInstanceId,
    HL_DAEMON__WORKSPACE_ID: "test-workspace-001",
    ...options.env,
  };
  const daemon = stack.use(await TestDaemon.start({ ...options, env }));
  const operator = cloud.operator(testInstanceId);
  await operator.online();
  const owned = stack.move();
  return {
    cloud,
    daemon,
    operator,
    client: (args, more = {}) => {
      const target = {
        HL_CLOUD: cloud.url,
        HL_INSTANCE: testInstanceId,
        HL_OPERATOR_TOKEN_FILE: cloud.operatorTokenFile,
      };
      return runProgram("hl-client", args, { ...more, env: { ...target, ...more.env } });
    },
    [Symbol.asyncDispose]: () => owned.disposeAsync(),
  };
}
