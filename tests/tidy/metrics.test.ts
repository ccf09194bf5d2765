import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { repositoryRoot } from "@hl/testkit/programs.ts";
import { methodDurations, methodErrors } from "../../packages/daemon/src/health/method-durations.ts";
import { metrics as figures } from "../../packages/daemon/src/health/metrics.ts";

// Goal: no alert is over a metric that nobody writes. Method: the names in packaging/ are held against the definitions.
const read = (path: string): string => readFileSync(join(repositoryRoot, path), "utf8");
const metrics = [...figures, methodDurations, methodErrors];
const rules = read("packaging/prometheus/hl-daemon.rules.yml");

/** What every exporter calls so. */
const standard = ["process_cpu_seconds_total", "process_open_fds", "process_resident_memory_bytes"];

test("a metric has a name of its own, in the field's form, and a text of one line", () => {
  const names = metrics.map(({ name }) => name);
  assert.equal(new Set(names).size, names.length);
  for (const { name, type, help } of metrics) {
    if (!standard.includes(name)) assert.match(name, /^hl_daemon_[a-z0-9_]+$/);
    assert.equal(name.endsWith("_total"), type === "counter", name);
    assert.doesNotMatch(help, /[\\\n]/, name);
  }
});

test("every metric in the example rules and in the dashboard exists", () => {
  const dashboard = read("packaging/grafana/hl-daemon.json");
  const { panels } = JSON.parse(dashboard);
  assert.ok(panels.length > 8);
  const used = [...`${rules} ${dashboard}`.matchAll(/\b(?:hl_daemon|process)_[a-z0-9_]+/g)].map(([name]) =>
    name.replace(/(_seconds)_(bucket|sum|count)$/, "$1"),
  );
  assert.ok(used.length > 10);
  assert.deepEqual(
    used.filter((name) => !metrics.some((metric) => metric.name === name)),
    [],
  );
});

test("every alert has an expression, a severity, a summary and its place in the runbook", () => {
  const alerts = rules.split("- alert: ").slice(1);
  assert.ok(alerts.length > 10);
  const headings = [...read("docs/operations.md").matchAll(/^#+ (.+)$/gm)].map(([, title = ""]) =>
    title.toLowerCase().replaceAll(" ", "-"),
  );
  for (const alert of alerts) {
    const place = /runbook: docs\/operations\.md#(\S+)/.exec(alert)?.[1] ?? alert;
    assert.ok(headings.includes(place), `docs/operations.md has no heading #${place}`);
    assert.match(alert, /\n +expr: .+\n/);
    assert.match(alert, /severity: (critical|warning) /);
    assert.match(alert, /\n +summary: ".+"\n +runbook: docs\/operations\.md#[a-z-]+\n/);
  }
});
