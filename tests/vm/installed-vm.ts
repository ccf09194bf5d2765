/**
 * The VM of a walk: a container that booted with systemd, the release to install, and hl-cloud of this checkout, which is a program of the host
 * in the container's network. As in an installation it has TLS, with a certificate of an authority of its own. It is asked the ways that
 * people have: hl-client elsewhere through the cloud, the local socket, a shell of root.
 */
import assert from "node:assert/strict";
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { promisify } from "node:util";
import { calm } from "@hl/testkit/calm.ts";
import { makeAuthority } from "@hl/testkit/certificates.ts";
import { connectSocket, type Message, type MessageClient } from "@hl/testkit/message-client.ts";
import { cloudSubcommand, repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { until } from "@hl/testkit/waiting.ts";
import { Container, type Suite } from "./container.ts";
import { putRelease, type ReleaseUnderTest } from "./release-under-test.ts";

const execute = promisify(execFile);

/** Where the release lies in the VM. */
export const root = "/opt/freestyle/hl-daemon";
export const cloudUrl = "https://localhost:7000";
export const instanceId = "vm-walk";
export const slowMsMax = 120_000;

export class InstalledVm implements AsyncDisposable {
  readonly #folder = temporaryFolder("hl-walk");
  /** `/mnt/payload` inside: the release, and the one-time token `token`. */
  readonly payload = join(this.#folder.path, "payload");
  readonly #cloudHome = join(this.#folder.path, "cloud");
  readonly #tokenFile = join(this.#folder.path, "operator");
  readonly #tls = { cert: join(this.#folder.path, "cloud.crt"), key: join(this.#folder.path, "cloud.key") };
  #container: Container | undefined;
  #release: ReleaseUnderTest | undefined;
  #cloud: ChildProcess | undefined;
  readonly #issuer = makeAuthority("authority of the walk");
  #cloudPin = "";

  /** Boots it and begins to serve the cloud; installs nothing. */
  async boot(suite?: Suite): Promise<void> {
    mkdirSync(this.payload);
    this.#release = await putRelease(this.payload);
    writeFileSync(this.#authority, this.#issuer.cert);
    this.giveCloudAnotherKey();
    this.#container = await Container.boot(this.payload, suite);
    await this.mustRun("echo 127.0.0.1 localhost >/etc/hosts"); // A bare Debian has no such file, a machine has.
    await this.startCloud();
    const operator = ["operator", "add", "night", "--home", this.#cloudHome, "--role", "admin"];
    writeFileSync(this.#tokenFile, await cloudSubcommand(operator));
    const enrolment = ["enroll", "--home", this.#cloudHome, "--instance", instanceId];
    writeFileSync(join(this.payload, "token"), await cloudSubcommand(enrolment));
  }

  /** The one that has signed the cloud's certificate, PEM; `ca.crt` of the payload. */
  get #authority(): string {
    return join(this.payload, "ca.crt");
  }

  get container(): Container {
    if (this.#container === undefined) throw new Error("the VM has not booted");
    return this.#container;
  }

  get release(): ReleaseUnderTest {
    if (this.#release === undefined) throw new Error("there is no release yet");
    return this.#release;
  }

  /** A line of shell; throws with all it said when it fails. */
  mustRun(lines: string, msMax?: number): Promise<string> {
    return this.container.mustRun(lines, msMax);
  }

  run(lines: string, msMax?: number): ReturnType<Container["run"]> {
    return this.container.run(lines, msMax);
  }

  /** Seconds. */
  async uptime(): Promise<number> {
    return Number((await this.mustRun("cut -d' ' -f1 /proc/uptime")).trim());
  }

  /** What systemd and the journal say; for the message of a failure. */
  async state(): Promise<string> {
    return (await this.run("systemctl --no-pager status 'hl-*'; journalctl --no-pager -n 60 -u 'hl-*'")).stdout;
  }

  /** The line that installs or upgrades. */
  installLine(more: string): string {
    return `/mnt/payload/install.sh --from /mnt/payload/${this.release.archive} --public-key /mnt/payload/release.pub ${more}`;
  }

  /** Of the key of the cloud. */
  get pin(): string {
    return this.#cloudPin;
  }

  /** For install.sh and configure.sh: which cloud it is, and by which key it is known. */
  get cloudOptions(): string {
    return `--cloud ${cloudUrl} --pin ${this.pin} --instance ${instanceId}`;
  }

  /** Installed, enrolled and healthy; the cloud's authority is one of the machine's. */
  async install(): Promise<void> {
    await this.mustRun("cp /mnt/payload/ca.crt /usr/local/share/ca-certificates/walk.crt && update-ca-certificates");
    await this.mustRun(this.installLine(`${this.cloudOptions} --token-file /mnt/payload/token`), slowMsMax);
    await this.edit(`Object.assign(c.health_monitoring.alerts, ${JSON.stringify(calm)})`);
    await this.mustRun("systemctl reload hl-daemon");
    await this.healthy();
  }

  /** In the VM's network, a program of the host. */
  inNetwork(args: readonly string[]): readonly string[] {
    return ["-t", String(this.container.leader), "-n", ...args];
  }

  async startCloud(more: readonly string[] = []): Promise<void> {
    const { cert, key } = this.#tls;
    const tls = ["--tls-cert", cert, "--tls-key", key];
    const serve = ["serve", "--home", this.#cloudHome, "--listen", "127.0.0.1:7000", ...tls, ...more];
    this.#cloud = spawn("nsenter", [...this.inNetwork([join(repositoryRoot, "bin/hl-cloud"), ...serve])], {
      stdio: ["ignore", "ignore", "inherit"],
    });
    const asked = `python3 -c 'import socket; socket.create_connection(("127.0.0.1", 7000))'`;
    await until("hl-cloud to listen", async () => (await this.run(asked)).code === 0, slowMsMax);
  }

  /** From the next start of the cloud on; from now on its pin is `pin`. */
  giveCloudAnotherKey(): void {
    const { cert, key, pin } = this.#issuer.issue("hl-cloud");
    this.#cloudPin = pin;
    writeFileSync(this.#tls.cert, cert);
    writeFileSync(this.#tls.key, key, { mode: 0o600 });
  }

  signalCloud(signal: NodeJS.Signals): void {
    this.#cloud?.kill(signal);
  }

  async stopCloud(signal: NodeJS.Signals = "SIGTERM"): Promise<void> {
    const cloud = this.#cloud;
    if (cloud === undefined || cloud.exitCode !== null || cloud.signalCode !== null) return;
    const exited = once(cloud, "exit");
    cloud.kill(signal);
    await exited;
  }

  /** hl-client on an operator's own machine; answers what it prints. */
  async remote(...args: string[]): Promise<string> {
    const target = ["--cloud", cloudUrl, "--instance", instanceId, "--token-file", this.#tokenFile];
    const own = [join(repositoryRoot, "bin/hl-client"), ...target, "--cacert", this.#authority];
    const line = this.inNetwork([...own, ...args]);
    return (await execute("nsenter", [...line], { timeout: slowMsMax, maxBuffer: 2 ** 24 })).stdout;
  }

  /** A request by way of the cloud. */
  async rpc(method: string, params: object): Promise<Message> {
    return JSON.parse(await this.remote("--json", "rpc", method, JSON.stringify(params)));
  }

  /** The daemon's own socket, logged in as an administrator of the VM. */
  async connect(): Promise<MessageClient> {
    const data = `/proc/${this.container.leader}/root${root}/data`;
    return connectSocket(`${data}/state/daemon.sock`, readFileSync(`${data}/auth/local_token`, "utf8").trim());
  }

  /** Every event that the cloud has of the VM, in its own order. */
  async cloudEvents(): Promise<Message[]> {
    const program = `const [url, file] = process.argv.slice(1), all = [];
      const authorization = "Bearer " + (await (await import("node:fs/promises")).readFile(file, "utf8")).trim();
      for (let after = 0; ; ) {
        const { events, next } = await (await fetch(url + "?limit=1000&after=" + after, { headers: { authorization } })).json();
        if (events.length === 0) break;
        all.push(...events);
        after = next;
      }
      process.stdout.write(JSON.stringify(all));`;
    const url = `${cloudUrl}/v1/instances/${instanceId}/events`;
    const node = [process.execPath, "--input-type=module", "-e", program, url, this.#tokenFile];
    const env = { ...process.env, NODE_EXTRA_CA_CERTS: this.#authority };
    return JSON.parse((await execute("nsenter", [...this.inNetwork(node)], { env, maxBuffer: 2 ** 28 })).stdout);
  }

  /** Of the main process of a unit, "0" where none runs. */
  async mainPid(unit = "hl-daemon"): Promise<string> {
    return (await this.mustRun(`systemctl show -P MainPID ${unit}`)).trim();
  }

  /** In the cloud, and not degraded either: what the daemon complains about is in the failure. */
  async healthy(): Promise<void> {
    await until(
      "healthy in the cloud",
      async () => {
        const { status, alerts } = await this.rpc("system/health", {});
        if (status !== "healthy") throw new Error(`${String(status)}: ${JSON.stringify(alerts)}`);
        return true;
      },
      slowMsMax,
    );
  }

  /** Another main process than `before`, active and healthy. */
  async restarted(before: string): Promise<void> {
    await until("another daemon to run", async () => ![before, "0"].includes(await this.mainPid()), slowMsMax);
    await until("it to be active", async () => (await this.run("systemctl is-active hl-daemon")).code === 0, slowMsMax);
    await this.healthy();
  }

  /** Begins a command that waits in the workspace for a file of its own name, so that the test decides when it ends. */
  async begin(name: string): Promise<void> {
    const waiter = `import os, time\nopen("${name}.runs", "a").write("x")\nprint("started", flush=True)\nwhile not os.path.exists("${name}"): time.sleep(0.05)\nprint("ended")`;
    await this.remote("exec", "--detach", "--id", name, "--", "python3", "-c", waiter);
    await until(`${name} to have said so`, async () => {
      const { status, stdout_bytes } = await this.rpc("command/status", { command_id: name });
      return status === "started" && stdout_bytes === "started\n".length;
    });
  }

  /** Lets a command of `begin` end, and expects that it was untouched. */
  async finish(name: string): Promise<void> {
    await this.mustRun(`touch /home/developer/workspace/${name}`);
    const end = await this.rpc("command/status", { command_id: name, wait: 30 });
    assert.deepEqual([end.status, end.exit_code, end.stdout], ["completed", 0, "started\nended\n"]);
  }

  /** What the cloud was told of the end of a command, as soon as it was told anything. */
  async endsInCloud(command_id: string): Promise<Message[]> {
    return until("its end in the cloud", async () => {
      const found = (await this.cloudEvents()).filter(
        ({ event_type, data }) => event_type === "process_end" && data.command_id === command_id,
      );
      return found.length > 0 && found;
    });
  }

  /** A daemon that is stuck (SIGSTOP) under a watchdog of seconds: systemd ends it, another one comes, and a command goes on. */
  async endByWatchdog(): Promise<void> {
    const dropIn = "/run/systemd/system/hl-daemon.service.d";
    const quick = String.raw`[Service]\nWatchdogSec=4\nTimeoutAbortSec=1\n`;
    await this.mustRun(`mkdir -p ${dropIn} && printf '${quick}' >${dropIn}/test.conf`);
    await this.mustRun("systemctl daemon-reload && systemctl restart hl-daemon");
    await this.healthy();
    await this.begin("stuck");
    const before = await this.mainPid();
    await this.mustRun(`kill -STOP ${before}`);
    await this.restarted(before);
    assert.match(await this.mustRun("journalctl -u hl-daemon --no-pager"), /Watchdog timeout/);
    await this.mustRun(`rm -r ${dropIn} && systemctl daemon-reload && systemctl restart hl-daemon`);
    await this.healthy();
    await this.finish("stuck");
  }

  /** Changes the configuration file by a line of JavaScript on `c`, its content. */
  async edit(script: string): Promise<void> {
    const program = `const f="${root}/config/daemon.json",fs=require("fs"),c=JSON.parse(fs.readFileSync(f));${script};fs.writeFileSync(f,JSON.stringify(c))`;
    await this.mustRun(`${root}/lib/node/bin/node -e '${program}'`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.signalCloud("SIGCONT");
    await this.stopCloud();
    await this.#container?.[Symbol.asyncDispose]();
    this.#folder[Symbol.dispose]();
  }
}
