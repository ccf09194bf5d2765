import { $, element, visible, wait } from "./page.js";
import { Rpc } from "./rpc.js";

/** The agent's permission requests that wait, as they come and go; a lost connection starts over. */
export async function followApprovals(id, signal) {
  while (!signal.aborted) {
    const waiting = new Map();
    const show = (rpc) => showApprovals([...waiting.values()], rpc);
    const rpc = await Rpc.open(id).catch(() => undefined);
    if (rpc !== undefined && !signal.aborted) {
      const leave = () => rpc.close();
      signal.addEventListener("abort", leave, { once: true });
      try {
        await rpc.request("approval/subscribe", {}, (method, approval) => {
          if (method === "stream/closed") rpc.close();
          if (method !== "approval/changed" || signal.aborted) return;
          if (approval.state === "pending") waiting.set(approval.approval_id, approval);
          else waiting.delete(approval.approval_id);
          show(rpc);
        });
        setState("");
        show(rpc);
        await rpc.closed;
      } catch (error) {
        // A role without the permission is told so; a VM that is away is asked again.
        if (!signal.aborted) setState(error.code === permissionDenied ? "your role may not decide" : "");
        if (error.code === permissionDenied) return;
      } finally {
        signal.removeEventListener("abort", leave);
        rpc.close();
      }
    }
    if (!signal.aborted) showApprovals([], undefined);
    await wait(5_000, signal);
  }
}

export function clearApprovals() {
  setState("");
  showApprovals([], undefined);
}

const permissionDenied = 1002;

function setState(text) {
  $("approvals-state").textContent = text;
  $("approvals-section").hidden = text === "" && $("approvals").children.length === 0;
}

/** Rows that are there already stay as they are: what somebody is about to press does not move under the pointer. */
function showApprovals(approvals, rpc) {
  const list = $("approvals");
  const known = new Map([...list.children].map((row) => [row.dataset.id, row]));
  for (const [id, row] of known) {
    if (!approvals.some(({ approval_id }) => approval_id === id)) row.remove();
  }
  for (const approval of approvals) {
    if (!known.has(approval.approval_id)) list.append(rowOf(approval, rpc));
  }
  $("approvals-section").hidden = list.children.length === 0 && $("approvals-state").textContent === "";
}

function rowOf(approval, rpc) {
  const { approval_id, input_hash, tool_name, input, reason, expires_at, can_remember } = approval;
  const outcome = element("span", { class: "small", role: "status" });
  const decide = async (decision, more = {}) => {
    for (const button of buttons) button.disabled = true;
    try {
      await rpc.request("approval/decide", { approval_id, input_hash, decision, ...more });
    } catch (error) {
      outcome.textContent = error.message;
      for (const button of buttons) button.disabled = false;
    }
  };
  const button = (text, kind, press) => {
    const node = element("button", { type: "button", class: kind }, text);
    node.addEventListener("click", press);
    return node;
  };
  const buttons = [
    button("Allow", "primary", () => decide("allow")),
    ...(can_remember ? [button("Allow for this session", "", () => decide("allow", { remember: "session" }))] : []),
    button("Deny", "", () => decide("deny")),
  ];
  const until = new Date(expires_at * 1000).toLocaleTimeString();
  const row = element(
    "li",
    { "data-id": approval_id },
    element("p", {}, element("strong", {}, tool_name), ` wants to run with this, and waits until ${until}:`),
    element("pre", { class: "output" }, textOf(input)),
    ...(reason === undefined ? [] : [element("p", { class: "quiet small" }, reason)]),
    element("p", { class: "answers" }, ...buttons, outcome),
  );
  return row;
}

/** A member a line; the text of a member as it is, since it is what has to be judged. */
function textOf(input) {
  return Object.entries(input)
    .map(([name, value]) => `${name}: ${typeof value === "string" ? value : JSON.stringify(value, null, 2)}`)
    .map(visible)
    .join("\n");
}
