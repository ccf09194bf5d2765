import { $, ago, duration, element, wait } from "./page.js";
import { api, instancePath } from "./session.js";

const refreshMs = 5_000;

export const statusOf = (health) =>
  ["healthy", "degraded", "unhealthy"].includes(health?.status) ? health.status : "unknown";

export async function followDetail(id, signal) {
  while (!signal.aborted) {
    try {
      const detail = await (await api(instancePath(id), { signal })).json();
      const health = detail.online ? await liveHealth(id, signal) : undefined;
      if (!signal.aborted) showDetail(detail, health ?? detail.full_health);
    } catch (error) {
      if (!signal.aborted) $("detail-sub").textContent = error.message;
    }
    await wait(refreshMs, signal);
  }
}

/** The VM's own figures of this moment; undefined where it does not answer, then the last reported ones are shown. */
async function liveHealth(id, signal) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "system/health", params: {} });
  const response = await api(instancePath(id, "/rpc"), { method: "POST", body, signal }).catch(() => undefined);
  return (await response?.json())?.result;
}

function showDetail(detail, health) {
  const status = detail.online ? statusOf(health ?? detail.health) : "unknown";
  $("detail-status").className = `badge ${status}`;
  $("detail-status").textContent = detail.online ? status : detail.state;
  const version = detail.daemon_version === null ? "" : `hl-daemon ${detail.daemon_version} · `;
  const fenced = detail.credentials === "fenced" ? " · credentials fenced: enrol it again" : "";
  $("detail-sub").textContent = `${detail.workspace} · ${version}last contact ${ago(detail.last_seen)}${fenced}`;
  const system = health?.system_metrics;
  const figures = [
    ["Uptime", health?.uptime ?? detail.health.uptime, duration],
    ["CPU", system?.cpu_usage, (value) => `${value.toFixed(0)} %`],
    ["Memory used", system?.memory_usage, (value) => `${value.toFixed(0)} MB`],
    ["Disk used", system?.disk_usage, (value) => `${value.toFixed(0)} %`],
    ["Load", system?.load_average?.[0], (value) => value.toFixed(2)],
    ["Commands", health?.commands?.running ?? detail.health.commands_running, (value) => `${value} running`],
    ["Agents", health?.agents?.running ?? detail.health.agents_running, (value) => `${value} running`],
    ["Events waiting", health?.spool?.depth ?? detail.health.spool_depth, String],
    [
      "Daemon memory",
      health?.process?.memory_rss_mb ?? detail.health.memory_rss_mb,
      (value) => `${value.toFixed(0)} MB`,
    ],
  ];
  $("figures").replaceChildren(
    ...figures
      .filter(([, value]) => typeof value === "number")
      .map(([name, value, format]) => element("div", {}, element("dt", {}, name), element("dd", {}, format(value)))),
  );
  $("alerts").replaceChildren(
    ...(health?.alerts ?? []).map(({ severity, title, text }) =>
      element("li", { class: severity }, element("strong", {}, `${severity}: ${title}`), ` ${text}`),
    ),
  );
}
