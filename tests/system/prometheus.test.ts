/**
 * Goal: the example rules and the dashboard of packaging/ work where they are loaded.
 * Method: Prometheus itself (`apt-get install prometheus`, or HL_TEST_PROMETHEUS names the folder of its two programs): promtool judges the
 * rules and runs their unit tests; a real server scrapes a real daemon on loopback and answers every query.
 */
import assert from "node:assert/strict";
import { execFile, spawn } from "node:child_process";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { createInterface } from "node:readline";
import { describe, test } from "node:test";
import { promisify } from "node:util";
import { http } from "@hl/testkit/http.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { repositoryRoot, temporaryFolder } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

const execute = promisify(execFile);
const folders = (process.env["HL_TEST_PROMETHEUS"] ?? process.env["PATH"] ?? "").split(delimiter);
const installed = folders.find((folder) => ["promtool", "prometheus"].every((name) => existsSync(join(folder, name))));
const skip = installed === undefined ? "Prometheus is not installed: apt-get install prometheus" : false;
if (skip !== false) process.stderr.write(`*** NOT RUN: rules and dashboard in a real Prometheus: ${skip} ***\n`);

const packaging = (path: string): string => join(repositoryRoot, "packaging", path);
const rules = packaging("prometheus/hl-daemon.rules.yml");

describe("rules and dashboard in a real Prometheus", { skip }, () => {
  const program = (name: string): string => join(installed ?? "", name);

  test("promtool finds nothing in the rules, and each alert is silent before its time and fires after it", async () => {
    await execute(program("promtool"), ["check", "rules", "--lint-fatal", rules]);
    const tests = packaging("prometheus/hl-daemon.rules.test.yml");
    await execute(program("promtool"), ["test", "rules", tests]);
    const alerts = (path: string): string[] => [
      ...new Set([...readFileSync(path, "utf8").matchAll(/ alert(?:name)?: (\w+)/g)].map(([, name = ""]) => name)),
    ];
    assert.deepEqual(alerts(tests), alerts(rules));
  });

  test("a scrape of the daemon answers every query of the rules and of the dashboard", async () => {
    await using daemon = await TestDaemon.start();
    using client = await daemon.connect();
    await client.call("system/ping"); // Methods have figures once they have been called.
    using folder = temporaryFolder("hl-prometheus");
    const scrape = {
      job_name: "hl-daemon",
      scrape_interval: "1s",
      authorization: { credentials_file: join(daemon.home, "data/auth/local_token") },
      static_configs: [{ targets: [new URL(daemon.url).host] }],
    };
    const file = join(folder.path, "prometheus.yml"); // JSON is YAML.
    const global = { evaluation_interval: "1s" };
    writeFileSync(file, JSON.stringify({ global, rule_files: [rules], scrape_configs: [scrape] }));
    await execute(program("promtool"), ["check", "config", file]);
    await using server = await startPrometheus(program("prometheus"), file, folder.path);
    const get = async (path: string): Promise<Message> => (await http(`${server.url}/api/v1/${path}`)).json.data;
    const results = async (expression: string): Promise<number> => {
      const { json } = await http(`${server.url}/api/v1/query?query=${encodeURIComponent(expression)}`);
      assert.equal(json.status, "success", `${expression}: ${JSON.stringify(json)}`);
      return json.data.result.length;
    };
    // A rate needs two of them.
    await until(
      "two scrapes",
      async () => (await results('count_over_time(up{job="hl-daemon"}[1h]) > 1 and up == 1')) === 1,
    );
    await until("every rule to be evaluated", async () => {
      const all: Message[] = (await get("rules")).groups.flatMap((group: Message) => group.rules);
      assert.ok(all.length > 10 && all.every(({ health }) => health !== "err"), JSON.stringify(all));
      return all.every(({ health }) => health === "ok");
    });
    // There is no cloud here. What a busy machine may add is not about the rules.
    const pending = await until("the alert of the missing cloud", async () => {
      const names: string[] = (await get("alerts")).alerts.map(({ labels }: Message) => labels.alertname);
      return names.includes("HlDaemonCloudDisconnected") && names;
    });
    assert.ok(!pending.includes("HlDaemonDown") && !pending.includes("HlDaemonUnhealthy"), pending.join());
    const { panels } = JSON.parse(readFileSync(packaging("grafana/hl-daemon.json"), "utf8"));
    const queries: string[] = panels.flatMap(({ targets }: Message) => targets.map(({ expr }: Message) => expr));
    assert.ok(queries.length > 10);
    for (const query of queries) {
      const expression = query.replaceAll("$instance", ".*");
      // No agent has been asked anything here.
      if (query.includes('method="claude/relay"')) await results(expression);
      else await until(`something is found by ${query}`, async () => (await results(expression)) > 0);
    }
    const names: string[] = await get("label/__name__/values");
    const used = [...readFileSync(rules, "utf8").matchAll(/\bhl_daemon_\w+/g)].map(([name]) => name);
    assert.deepEqual(
      used.filter((name) => !names.includes(name)),
      [],
    );
  });
});

async function startPrometheus(
  program: string,
  file: string,
  folder: string,
): Promise<{ readonly url: string } & AsyncDisposable> {
  const data = `--storage.tsdb.path=${join(folder, "data")}`;
  const child = spawn(program, [`--config.file=${file}`, data, "--web.listen-address=127.0.0.1:0"], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  const exited = new Promise<void>((resolve) => child.once("exit", () => resolve()));
  const said: string[] = [];
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  child.once("error", reject);
  void exited.then(() => reject(new Error(`prometheus ended: ${said.join("\n")}`)));
  createInterface({ input: child.stderr }).on("line", (line) => {
    said.push(line);
    const address = /msg="Listening on" address=(\S+)/.exec(line)?.[1];
    if (address !== undefined) resolve(`http://${address}`);
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    await exited;
  };
  try {
    return { url: await promise, [Symbol.asyncDispose]: stop };
  } catch (error) {
    await stop();
    throw error;
  }
}
