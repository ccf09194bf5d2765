// The dashboard of hl-cloud: the same HTTP API and WebSocket that hl-client uses, no framework, no build.

import { clearAgents, refreshAgents } from "./agents.js";
import { clearApprovals, followApprovals } from "./approvals.js";
import { showCommands } from "./command.js";
import { followDetail, isUsedTwice, statusOf } from "./detail.js";
import { followEvents } from "./events.js";
import { $, ago, element, wait } from "./page.js";
import { api, dropToken, keepToken, session, takeToken } from "./session.js";

const refreshMs = 5_000;
const state = { instances: [], selected: undefined, view: undefined };

/* Sign in and out */

function showSignIn(message = "") {
  state.view?.abort();
  state.selected = undefined;
  dropToken();
  $("app").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-error").textContent = message;
  $("token").focus();
}

$("sign-in-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  session.token = $("token").value.trim();
  try {
    await api("/v1/instances");
  } catch (error) {
    showSignIn(error.status === 401 ? "This token is not valid." : error.message);
    return;
  }
  keepToken(session.token);
  $("token").value = "";
  start();
});

$("sign-out").addEventListener("click", () => showSignIn());

/* The fleet */

function start() {
  $("sign-in").hidden = true;
  $("app").hidden = false;
  void followFleet();
  route();
}

let following = false;
async function followFleet() {
  if (following) return;
  following = true;
  while (session.token !== undefined) {
    try {
      if (!document.hidden || state.instances.length === 0) {
        state.instances = (await (await api("/v1/instances")).json()).instances;
        showFleet();
        $("link").textContent = "";
      }
    } catch (error) {
      if (error.status === 401) showSignIn("This token is no longer valid.");
      else $("link").textContent = `hl-cloud does not answer: ${error.message}`;
    }
    await wait(refreshMs);
  }
  following = false;
}

function showFleet() {
  const online = state.instances.filter((instance) => instance.online).length;
  const lost = state.instances.filter((instance) => instance.state === "lost").length;
  const counted = `${online} of ${state.instances.length} online${lost === 0 ? "" : `, ${lost} lost`}`;
  $("fleet-count").textContent = state.instances.length === 0 ? "" : counted;
  $("fleet-empty").hidden = state.instances.length > 0;
  const focused = document.activeElement?.getAttribute?.("href");
  $("fleet-list").replaceChildren(
    ...state.instances.map((instance) => {
      const status = statusOf(instance.health);
      const about = [
        instance.online ? (status === "unknown" ? "online" : status) : instance.state,
        instance.online ? undefined : `seen ${ago(instance.last_seen)}`,
        instance.credentials === "valid" ? undefined : `credentials ${instance.credentials}`,
        isUsedTwice(instance) ? "identity in use twice" : undefined,
        instance.online && instance.health.commands_running ? `${instance.health.commands_running} running` : undefined,
      ];
      return element(
        "li",
        {},
        element(
          "a",
          {
            href: `#vm=${encodeURIComponent(instance.id)}`,
            "aria-current": instance.id === state.selected ? "page" : undefined,
          },
          element("span", { class: `dot ${status} ${instance.online ? "" : "offline"}`, "aria-hidden": "true" }),
          element("span", { class: "name", title: instance.id }, instance.id),
          element("span", { class: "about" }, about.filter(Boolean).join(" · ")),
        ),
      );
    }),
  );
  if (focused?.startsWith("#vm="))
    $("fleet-list")
      .querySelector(`a[href="${CSS.escape(focused)}"]`)
      ?.focus();
  if (state.selected === undefined && state.instances.length === 1)
    location.hash = `#vm=${encodeURIComponent(state.instances[0].id)}`;
}

/* One instance */

function route() {
  const match = /^#vm=(.+)$/.exec(location.hash);
  const id = match === null ? undefined : decodeURIComponent(match[1]);
  if (id === state.selected) return;
  state.view?.abort();
  state.selected = id;
  $("nothing").hidden = id !== undefined;
  $("detail").hidden = id === undefined;
  document.title = id === undefined ? "hl-cloud" : `${id} · hl-cloud`;
  showFleet();
  if (id === undefined) return;
  state.view = new AbortController();
  $("detail-title").textContent = id;
  for (const name of ["detail-sub", "detail-status", "events-state"]) $(name).textContent = "";
  for (const name of ["figures", "alerts", "events"]) $(name).replaceChildren();
  $("events-empty").hidden = false;
  clearApprovals();
  clearAgents();
  const { signal } = state.view; // Of this view, also when another one has taken its place.
  showCommands(id, signal);
  void followDetail(id, signal, () => refreshAgents(id, signal));
  void followApprovals(id, signal);
  void followEvents(id, signal);
}

window.addEventListener("hashchange", () => {
  if (location.hash.startsWith("#token=")) {
    takeToken();
    start();
  } else if (session.token !== undefined) route();
});

takeToken();
if (session.token === undefined) showSignIn();
else start();
