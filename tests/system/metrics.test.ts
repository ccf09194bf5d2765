/**
 * Goal: `GET /metrics` is what a Prometheus takes: the text format to the letter, each documented metric once, and numbers that follow what happens.
 * Method: the real daemon; the answer is parsed strictly. `system_metric` events come at the configured interval.
 */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { http } from "@hl/testkit/http.ts";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { TestDaemon } from "@hl/testkit/system.ts";
import { until } from "@hl/testkit/waiting.ts";

/** The values by name and labels; throws at the first line that is not HELP, TYPE or a sample of the metric that they announce. */
function parse(text: string): Map<string, number> {
  assert.ok(text.endsWith("\n"));
  const values = new Map<string, number>();
  let family = { name: "", type: "" };
  let help = "";
  for (const line of text.slice(0, -1).split("\n")) {
    const [, helped] = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) [^\\]+$/.exec(line) ?? [];
    const [, typed, type = ""] = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (gauge|counter|histogram)$/.exec(line) ?? [];
    if (helped !== undefined) help = helped;
    else if (typed !== undefined) {
      assert.equal(typed, help);
      family = { name: typed, type };
    } else {
      const [, name = "", labels = "", value = ""] =
        /^([a-z0-9_]+)(\{[a-z]+="[^"\\]*"(?:,[a-z]+="[^"\\]*")*\})? (-?\d+(?:\.\d+)?(?:e[+-]?\d+)?)$/.exec(line) ?? [];
      const own = family.type === "histogram" ? ["_bucket", "_sum", "_count"] : [""];
      assert.ok(own.some((end) => name === family.name + end) && value !== "" && !values.has(name + labels), line);
      values.set(name + labels, Number(value));
    }
  }
  return values;
}

test("every documented metric is there once, in the text format, and follows what happens", async () => {
  await using daemon = await TestDaemon.start({ config: { process_management: { allowed_commands: ["sleep"] } } });
  using client = await daemon.connect();
  const scrape = async (): Promise<Map<string, number>> => {
    const answer = await http(`${daemon.url}/metrics`, { token: daemon.token });
    assert.equal(answer.status, 200);
    assert.match(String(answer.headers["content-type"]), /^text\/plain; version=0\.0\.4/);
    return parse(answer.text);
  };
  const page = readFileSync(join(repositoryRoot, "docs/metrics.md"), "utf8");
  const documented = [...page.matchAll(/^\| `((?:hl_daemon|process)_\w+)` \|/gm)].map(([, name]) => name);
  await client.call("system/ping");
  const before = await scrape();
  const families = [...before.keys()].map((key) => key.replace(/(_bucket|_sum|_count)?\{.*/, ""));
  assert.deepEqual([...new Set(families)], documented);
  assert.deepEqual([before.get("hl_daemon_commands_running"), before.get("hl_daemon_cloud_connected")], [0, 0]);
  for (const name of ["hl_daemon_memory_rss_bytes", "process_resident_memory_bytes"])
    assert.ok((before.get(name) ?? 0) > 2 ** 20, name);
  assert.ok((before.get("process_cpu_seconds_total") ?? 0) > 0);
  await client.call("command/execute", { command_id: "one", command: "sleep", args: ["600"], stream_output: true });
  await until("the command to be counted", async () => (await scrape()).get("hl_daemon_commands_running") === 1);
  await client.call("event/stream", { event_id: crypto.randomUUID(), event_type: "x", timestamp: 0, data: {} });
  const spooled = await scrape();
  for (const figure of ["events", "bytes"]) {
    const all = spooled.get(`hl_daemon_spool_${figure}`) ?? 0;
    const lanes = [...spooled].filter(([key]) => key.startsWith(`hl_daemon_spool_lane_${figure}{`));
    assert.equal(lanes.length, 4, figure);
    assert.ok(all > 0 && lanes.reduce((sum, [, value]) => sum + value, 0) === all, figure);
    assert.ok((spooled.get(`hl_daemon_spool_lane_${figure}{lane="session"}`) ?? 0) > 0, "a caller's event");
  }
  assert.ok(spooled.has('hl_daemon_spool_lane_oldest_seconds{lane="critical"}'));
  using others = new DisposableStack();
  for (let n = 0; n < 20; n += 1) others.use(await daemon.connect());
  const descriptors = (await scrape()).get("process_open_fds") ?? 0;
  // Each connection is one; of its own the daemon closes a few and opens others meanwhile.
  assert.ok(descriptors > (before.get("process_open_fds") ?? Infinity) + 10, "twenty connections more");
  await assert.rejects(client.call("command/status", { command_id: "none" }));
  await assert.rejects(client.call('no"such'));
  const last = await scrape();
  const of = (method: string, what: string, le = ""): number | undefined =>
    last.get(`hl_daemon_method_${what}{method="${method}"${le}}`);
  assert.equal(of("command/execute", "duration_seconds_count"), 1);
  assert.equal(of("command/execute", "duration_seconds_bucket", ',le="+Inf"'), 1);
  assert.ok((of("command/execute", "duration_seconds_sum") ?? 0) > 0);
  assert.deepEqual([of("command/status", "errors_total"), of("event/stream", "errors_total")], [1, 0]);
  assert.ok([...last.keys()].every((key) => !key.includes("such")));
});

test("system_metric events come at health_monitoring.check_interval", async () => {
  await using daemon = await TestDaemon.start({ config: { event_streaming: { event_types: ["system_metric"] } } });
  using client = await daemon.connect();
  await client.call("event/subscribe", { types: ["system_metric"], after: 0 });
  const times: number[] = [];
  while (times.length < 3) {
    const { params } = await client.next(({ params: told }) => told?.event_type === "system_metric");
    for (const figure of ["cpu_usage", "memory_usage", "disk_usage"])
      assert.equal(typeof params.data[figure], "number", figure);
    times.push(Number(params.timestamp));
  }
  // The test's interval is a second; a busy machine is late, and never early.
  for (const [at, time] of times.slice(1).entries()) assert.ok(time - (times[at] ?? 0) >= 0.9, times.join());
});
