import { $, element, visible, wait } from "./page.js";
import { Rpc } from "./rpc.js";
import { api, instancePath } from "./session.js";

const shownMax = 500;
const textCharsMax = 20_000;

/** The agent whose transcript is open. */
let open;

/** Asks the VM for its agents, with their state, turns and cost; a press opens the transcript of one, live. */
export async function refreshAgents(id, signal) {
  const processes = await listAgents(id, signal).catch(() => undefined);
  if (processes !== undefined && !signal.aborted) showAgents(id, processes, signal);
}

export function clearAgents() {
  open?.leave.abort();
  open = undefined;
  $("agents").replaceChildren();
  $("transcript").replaceChildren();
  $("transcript").hidden = true;
  $("agents-section").hidden = true;
  $("agents-state").textContent = "";
}

async function listAgents(id, signal) {
  const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method: "claude/list", params: {} });
  const response = await api(instancePath(id, "/rpc"), { method: "POST", body, signal });
  return (await response.json()).result?.processes;
}

/** Rows that are there already stay: what somebody is about to press does not move under the pointer. */
function showAgents(id, processes, signal) {
  const list = $("agents");
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const [processId, row] of known) {
    if (!processes.some(({ process_id }) => process_id === processId)) row.remove();
  }
  for (const process of processes) {
    let row = known.get(process.process_id);
    if (row === undefined) {
      row = element("li", { "data-id": process.process_id });
      const button = element("button", { type: "button", "aria-expanded": "false", "aria-controls": "transcript" });
      button.addEventListener("click", () => toggle(id, process.process_id, signal));
      row.append(button);
      list.prepend(row);
    }
    const text = describe(process);
    if (row.firstChild.textContent !== text) row.firstChild.textContent = text;
  }
  $("agents-section").hidden = processes.length === 0;
}

function describe({ process_id, status, protocol, turns, usage, exit_code }) {
  const state = status === "ended" ? `ended with ${exit_code ?? "?"}` : status.replace("_", " ");
  const cost = usage?.cost_usd ? `, $${usage.cost_usd.toFixed(usage.cost_usd < 0.01 ? 4 : 2)}` : "";
  const tokens = usage ? `, ${usage.input_tokens + usage.output_tokens} tokens` : "";
  return `${process_id.slice(0, 14)} · ${protocol} · ${state} · ${turns} ${turns === 1 ? "turn" : "turns"}${tokens}${cost}`;
}

function toggle(id, processId, signal) {
  const wasOpen = open?.processId === processId;
  open?.leave.abort();
  open = undefined;
  for (const { dataset, firstChild } of $("agents").children)
    firstChild.setAttribute("aria-expanded", String(!wasOpen && dataset.id === processId));
  $("transcript").replaceChildren();
  $("transcript").hidden = wasOpen;
  $("agents-state").textContent = "";
  if (wasOpen) return;
  open = { processId, leave: new AbortController() };
  void followTranscript(id, processId, AbortSignal.any([signal, open.leave.signal]));
}

/** The newest of what is kept, then what comes; a lost connection goes on behind the last number. */
async function followTranscript(id, processId, signal) {
  const pane = transcriptPane($("transcript"));
  let from;
  let ended = false;
  while (!signal.aborted && !ended) {
    const rpc = await Rpc.open(id).catch(() => undefined);
    if (rpc !== undefined && !signal.aborted) {
      const leave = () => rpc.close();
      signal.addEventListener("abort", leave, { once: true });
      try {
        from ??= await firstShown(rpc, processId);
        await rpc.request("claude/subscribe", { process_id: processId, from_seq: from }, (method, params) => {
          if (signal.aborted) return;
          if (method === "stream/closed") rpc.close();
          else if (method === "claude/gap") {
            pane.note(`[events ${params.from} to ${params.to} are no longer kept]`);
            from = params.to + 1;
          } else if (method === "claude/event") {
            pane.show(params);
            if (params.seq !== undefined) from = params.seq + 1;
            ended ||= params.type === "ended";
            if (ended) rpc.close();
          }
        });
        $("agents-state").textContent = "live";
        await rpc.closed;
      } catch (error) {
        if (!signal.aborted) $("agents-state").textContent = error.message;
      } finally {
        signal.removeEventListener("abort", leave);
        rpc.close();
      }
    }
    if (signal.aborted) return;
    $("agents-state").textContent = ended ? "ended" : "reconnecting…";
    if (!ended) await wait(2_000, signal);
  }
}

async function firstShown(rpc, processId) {
  const { first_seq, next_seq } = await rpc.request("claude/status", { process_id: processId });
  return Math.max(first_seq, next_seq - shownMax);
}

/** One row an event; what is being said grows in a row of its own until it is finished. */
function transcriptPane(list) {
  let live;
  const add = (kind, label, text) => {
    const atEnd = list.scrollTop + list.clientHeight >= list.scrollHeight - 8;
    const body = element("pre", {}, visible(text.slice(0, textCharsMax)));
    list.append(element("li", { class: kind }, element("span", { class: "quiet small" }, label), body));
    while (list.children.length > shownMax) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    return body;
  };
  return {
    note: (text) => add("note", "", text),
    show(item) {
      if (item.type === "delta") {
        if (item.data.kind !== "text" || item.data.subagent_of !== undefined) return;
        live ??= add("message", "agent", "");
        live.textContent = (live.textContent + visible(item.data.text)).slice(-textCharsMax);
        return;
      }
      live?.parentElement.remove();
      live = undefined;
      const row = rowOf(item);
      if (row !== undefined) add(item.type, ...row);
    },
  };
}

const text = (value) => (typeof value === "string" ? value : JSON.stringify(value, undefined, 2)) ?? "";

/** Label and text; undefined for what tells a reader nothing. */
function rowOf({ type, data }) {
  switch (type) {
    case "turn_started":
      return ["asked", text(data.message)];
    case "message":
      return data.text === "" ? undefined : [data.subagent_of === undefined ? "agent" : "subagent", data.text];
    case "tool_call":
      return [`calls ${data.tool_name}`, text(data.input)];
    case "tool_result":
      return [data.is_error ? "tool failed" : "tool result", text(data.content)];
    case "retry":
      return ["the model's API is asked again", `attempt ${data.attempt}, status ${data.status ?? "none"}`];
    case "turn_completed":
      return data.is_error ? ["turn failed", text(data.error?.message ?? data.text)] : undefined;
    case "ended":
      return ["ended", `exit code ${data.exit_code}`];
    default:
      return undefined;
  }
}
