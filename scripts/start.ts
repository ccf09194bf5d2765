/**
 * `npm start`: cloud, dashboard and one enrolled daemon on this machine, everything below `.hl/`, no root. Ctrl-C stops it all.
 * `npm run dev` adds `--stub-model`: the real agent of tests/agents against our stub of the model's API, so that it needs no key.
 */
import { execFileSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import {
  printedToken,
  repositoryRoot,
  startCloud,
  startDaemon,
  type CloudReady,
  type RunningProgram,
} from "@hl/testkit/programs.ts";

const instanceId = "dev-vm";
const root = join(repositoryRoot, ".hl");
const cloudHome = join(root, "cloud");
const vmHome = join(root, "vm");
const operatorTokenFile = join(root, "operator-token");

const stopAsked = new Promise<void>((resolve) => {
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => resolve());
});

async function main(): Promise<void> {
  execFileSync("sh", [join(repositoryRoot, "scripts/build-native.sh")], { stdio: ["ignore", "inherit", "inherit"] });
  mkdirSync(join(vmHome, "workspace"), { recursive: true });
  writeConfiguration();
  await using stack = new AsyncDisposableStack();
  const agentSettings = process.argv.includes("--stub-model") ? await startStubModel(stack) : {};
  const cloud = stack.use(await startCloudSomewhere());
  const operatorToken = await operatorTokenOf();
  const enrolled = existsSync(join(vmHome, "data/auth/refresh_token"));
  const enrollment = enrolled
    ? {}
    : { HL_ENROLLMENT_TOKEN: await printedToken(["enroll", "--home", cloudHome, "--instance", instanceId]) };
  const env = { HL_CLOUD_API__BASE_URL: cloud.ready.url, ...agentSettings, ...enrollment };
  // In groups of their own: Ctrl-C reaches only this script, which then stops them in order.
  const daemon = stack.use(await startDaemon(vmHome, { env, detached: true }));
  process.stdout.write(`
  dashboard   ${cloud.ready.url}/#token=${operatorToken}

  Try these in a second terminal:

    bin/hl-client status
    bin/hl-client exec -- git --version
    bin/hl-client --cloud ${cloud.ready.url} --instance ${instanceId} exec -- echo "hello from the cloud"

  data .hl/ · daemon http://${daemon.ready.http} · Ctrl-C stops everything
`);
  const ended = await Promise.race([
    stopAsked.then(() => undefined),
    cloud.exited.then((code) => `hl-cloud ended with ${code}: ${cloud.stderr}`),
    daemon.exited.then((code) => `hl-daemon ended with ${code}: ${daemon.stderr}`),
  ]);
  if (ended === undefined) {
    process.stdout.write("\nstopping …\n");
    return;
  }
  process.stderr.write(`${ended}\n`);
  process.exitCode = 1;
}

/** The usual port, so that a bookmark stays good; any other when something else has it. */
async function startCloudSomewhere(): Promise<RunningProgram<CloudReady>> {
  try {
    return await startCloud(cloudHome, { listen: "127.0.0.1:7070", detached: true });
  } catch (error) {
    if (!String(error).includes("EADDRINUSE")) throw error;
    return startCloud(cloudHome, { listen: "127.0.0.1:0", detached: true });
  }
}

async function operatorTokenOf(): Promise<string> {
  if (existsSync(operatorTokenFile)) return readFileSync(operatorTokenFile, "utf8").trim();
  const token = await printedToken(["operator", "add", "developer", "--home", cloudHome, "--role", "admin"]);
  writeFileSync(operatorTokenFile, `${token}\n`, { mode: 0o600 });
  return token;
}

/** Written once, then yours to edit. */
function writeConfiguration(): void {
  const path = join(vmHome, "config/daemon.json");
  if (existsSync(path)) return;
  mkdirSync(join(vmHome, "config"), { recursive: true, mode: 0o750 });
  const configuration = {
    daemon: { instance_id: instanceId, workspace_id: "dev", environment: "development" },
    local_api: { http_port: 0 },
    claude_integration: { binary_path: "claude", stdio_timeout: 600 },
    event_streaming: { flush_interval: 1 },
  };
  writeFileSync(path, `${JSON.stringify(configuration, null, 2)}\n`);
}

async function startStubModel(stack: AsyncDisposableStack): Promise<Record<string, string>> {
  const { ensureAgents } = await import("../tests/agents/install.ts");
  const { agentEnvironment } = await import("@hl/testkit/agent-env.ts");
  const { startModelApi } = await import("@hl/testkit/model-api/model-api.ts");
  const { claude } = await ensureAgents();
  const api = stack.use(await startModelApi());
  return {
    HL_CLAUDE_INTEGRATION__BINARY_PATH: claude,
    HL_CLAUDE_INTEGRATION__ENVIRONMENT: JSON.stringify(agentEnvironment(api.url)),
  };
}

await main();
