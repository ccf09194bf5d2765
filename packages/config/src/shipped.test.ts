/** The files that the installer ships, and the documentation: both must say what the declarations say. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { renderConfigurationDocs } from "./docs.ts";
import { DEFAULT_HOME, defaultConfig, loadConfig, type Config } from "./load.ts";
import { formatProblems } from "./problem.ts";
import { daemonFile, keysBelow, securityFile } from "./schema.ts";

const shipped = (name: string): string => new URL(`./shipped/${name}`, import.meta.url).pathname;
const env = { VM_INSTANCE_ID: "vm-1", WORKSPACE_ID: "workspace-1" };

const loadShipped = (options: { home?: string } = {}): Config => {
  const result = loadConfig({
    files: { daemon: shipped("daemon.json"), security: shipped("security.json") },
    env,
    ...options,
  });
  assert.ok(result.ok, result.ok ? "" : formatProblems(result.problems));
  return result.config;
};

describe("shipped files", () => {
  it("load without a problem, and say what the defaults are", () => {
    const config = loadShipped();
    const defaults = defaultConfig();
    assert.deepEqual(config.daemon, {
      ...defaults.daemon,
      daemon: { ...defaults.daemon.daemon, instance_id: "vm-1", workspace_id: "workspace-1" },
    });
    assert.deepEqual(config.security, defaults.security);
    assert.deepEqual(
      config.warnings.map(({ pointer }) => pointer),
      ["/network_security/tls_config/pin_hashes"],
    );
  });
  it("keep paths of the installation as they are written, whatever home is", () => {
    const { daemon } = loadShipped({ home: "/srv/hl" });
    assert.equal(daemon.logging.file, `${DEFAULT_HOME}/logs/daemon.log`);
    assert.equal(daemon.local_api.socket_path, "/srv/hl/data/state/daemon.sock");
  });
  it("name both variables where they are not set", () => {
    const result = loadConfig({ files: { daemon: shipped("daemon.json") }, env: {} });
    assert.ok(!result.ok);
    assert.deepEqual(
      result.problems.map(({ pointer, message }) => `${pointer} ${message}`),
      [
        "/daemon/instance_id needs the environment variable VM_INSTANCE_ID, which is not set",
        "/daemon/workspace_id needs the environment variable WORKSPACE_ID, which is not set",
      ],
    );
  });
});

describe("docs/configuration.md", () => {
  const text = renderConfigurationDocs();
  it("has a row for every key", () => {
    for (const { path } of [...keysBelow(daemonFile), ...keysBelow(securityFile)])
      assert.ok(text.includes(`| \`${path.at(-1) ?? ""}\` |`), path.join("."));
    const rows = text.split("\n").filter((line) => / \| (?:live|restart) \| /.test(line));
    assert.equal(rows.length, [...keysBelow(daemonFile), ...keysBelow(securityFile)].length);
  });
  it("is what the declarations render", () => {
    const file = readFileSync(new URL("../../../docs/configuration.md", import.meta.url), "utf8");
    assert.equal(file, text, "run `npm run docs`");
  });
});
