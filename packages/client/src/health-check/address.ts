import { readFileSync } from "node:fs";
import { join, resolve } from "node:path";

const installedHome = "/opt/freestyle/hl-daemon";

export interface AddressOptions {
  readonly config?: string | undefined;
  readonly cwd: string;
  readonly env: Readonly<Record<string, string | undefined>>;
}

/**
 * Where the daemon's local HTTP is. A running daemon has written it down, which also covers a port that it chose itself;
 * the configuration, whose loader is large, is read only where that is missing or a file was named.
 */
export async function healthAddress({ config, cwd, env }: AddressOptions): Promise<string> {
  const home = resolve(cwd, env.HL_DAEMON_HOME ?? installedHome);
  const written = config === undefined ? readAddress(join(home, "data/state/http_address")) : undefined;
  if (written !== undefined) return written.startsWith("https://") ? written : `http://${written}`;
  const { loadConfig } = await import("@hl/config/load.ts");
  const named = config ?? env.HL_DAEMON_CONFIG;
  const loaded = loadConfig({ home, env, files: { daemon: named === undefined ? undefined : resolve(cwd, named) } });
  if (!loaded.ok) {
    const [first] = loaded.problems;
    const where = first === undefined ? "" : `: ${first.file}${first.pointer} ${first.message}`;
    throw new Error(`the configuration is not valid${where}; give --url, or see \`hl-client config check\``);
  }
  const { http_host: host, http_port: port, tls_certificate: certificate } = loaded.config.daemon.local_api;
  if (port === 0)
    throw new Error("local_api.http_port is 0 (any free port) and no running daemon has written its address");
  return `${certificate === undefined ? "http" : "https"}://${host.includes(":") ? `[${host}]` : host}:${port}`;
}

function readAddress(file: string): string | undefined {
  try {
    const text = readFileSync(file, "utf8").trim();
    return /^(?:https:\/\/)?[^\s/@]+:\d{1,5}$/.test(text) ? text : undefined;
  } catch {
    return undefined;
  }
}
