import { $, ago, duration, element, wait } from "./page.js";
import { api, instancePath } from "./session.js";

const refreshMs = 5_000;

export const statusOf = (health) =>
  ["healthy", "degraded", "unhealthy"].includes(health?.status) ? health.status : "unknown";

/** @param whileOnline asks the VM for more, as often as for its health */
export async function followDetail(id, signal, whileOnline) {
  while (!signal.aborted) {
    try {
      const detail = await (await api(instancePath(id), { signal })).json();
      const health = detail.online ? await liveHealth(id, signal) : undefined;
      if (!signal.aborted) showDetail(detail, health ?? detail.full_health);
      if (detail.online) await whileOnline();
    } catch (error) {
      if (!signal.aborted) $("detail-sub").textContent = error.message;
    }
    await wait(refreshMs, signal);
  }
}

/** A copy asks at least every 25 minutes; what is older than this is over. */
const identityAlarmSeconds = 3_600;

/** Whether a second daemon was turned away under the identity of this VM lately. */
export const isUsedTwice = ({ identity_in_use_at: at }) =>
  typeof at === "number" && Date.now() / 1000 - at < identityAlarmSeconds;

/** What hl-cloud itself knows of a VM's identity; the VM would be the last to tell. */
function identityAlerts(detail) {
  const alerts = [];
  if (isUsedTwice(detail)) {
    const text = `a second daemon was turned away ${ago(detail.identity_in_use_at)}. Give the copy an instance id of its own and enrol it.`;
    alerts.push({ severity: "critical", title: "This identity is in use twice", text });
  }
  if (detail.credentials === "fenced") {
    const text =
      "a refresh token that had been replaced was presented: somebody may have stolen it. Enrol the VM again.";
    alerts.push({ severity: "critical", title: "The credentials are fenced", text });
  }
  if (detail.credentials === "revoked")
    alerts.push({ severity: "warning", title: "This VM is revoked", text: "it is let in again when it is enrolled." });
  return alerts;
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
  $("detail-sub").textContent = `${detail.workspace} · ${version}last contact ${ago(detail.last_seen)}`;
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
    ...[...identityAlerts(detail), ...(health?.alerts ?? [])].map(({ severity, title, text }) =>
      element("li", { class: severity }, element("strong", {}, `${severity}: ${title}`), ` ${text}`),
    ),
  );
}
