import { outputPane } from "./output.js";
import { $, wait } from "./page.js";
import { Rpc } from "./rpc.js";
import { splitWords } from "./words.js";

const instanceOffline = 1701;

let running;
/** The instance that is shown, and the signal that ends with it. */
let view;

export function showCommands(instanceId, signal) {
  view = { instanceId, signal };
  $("output").replaceChildren();
  $("output").hidden = true;
  setOutcome("");
  setRunning(undefined);
}

function setRunning(value) {
  running = value || undefined;
  $("run-button").disabled = Boolean(value);
  $("cancel").disabled = !value;
}

function setOutcome(text, tone = "") {
  $("outcome").className = `outcome ${tone}`;
  $("outcome").textContent = text;
}

$("run").addEventListener("submit", async (event) => {
  event.preventDefault();
  if (running) return;
  let words;
  try {
    words = splitWords($("command").value);
  } catch (error) {
    setOutcome(error.message, "bad");
    return;
  }
  const [command, ...args] = words;
  if (command === undefined) return;
  const { signal } = view;
  const pane = $("output");
  pane.replaceChildren();
  pane.hidden = false;
  setOutcome("connecting…");
  const run = { id: view.instanceId, commandId: crypto.randomUUID(), position: 0 };
  setRunning(run);
  try {
    const result = await follow(
      run,
      { command_id: run.commandId, command, args, stream_output: true },
      outputPane(pane),
      signal,
    );
    if (!signal.aborted) showResult(result);
  } catch (error) {
    if (!signal.aborted)
      setOutcome(error.help === undefined ? error.message : `${error.message} — ${error.help}`, "bad");
  } finally {
    if (running === run) setRunning(undefined);
  }
});

$("cancel").addEventListener("click", async () => {
  const run = running;
  if (run?.rpc === undefined) return;
  $("cancel").disabled = true;
  setOutcome("stopping…");
  await run.rpc.request("command/cancel", { command_id: run.commandId }).catch((error) => {
    if (running === run) setOutcome(error.message, "bad"); // Else the command's own end has been told already.
  });
});

/** Runs a command and follows it to its end, over lost connections too: it goes on in the VM whoever watches. */
async function follow(run, execute, pane, signal) {
  let started = false;
  for (;;) {
    const ended = Promise.withResolvers();
    const rpc = await Rpc.open(run.id).catch((error) => {
      if (!started) throw error;
    });
    if (rpc !== undefined) {
      run.rpc = rpc;
      const leave = () => rpc.close();
      signal.addEventListener("abort", leave, { once: true });
      void rpc.closed.then(() => ended.resolve(undefined));
      const onNotification = (method, params) => {
        if (method === "command/output") run.position = params.position + pane.output(params);
        else if (method === "command/gap") {
          pane.note(`[${params.bytes} bytes are no longer kept]`);
          run.position = params.position + params.bytes;
        } else if (method === "command/exited") ended.resolve(params);
        else if (method === "stream/closed") ended.resolve(undefined);
      };
      try {
        const [method, params] = started
          ? ["command/subscribe", { command_id: run.commandId, offset: run.position }]
          : ["command/execute", execute];
        await rpc.request(method, params, onNotification);
        started = true;
        setOutcome("running…");
        const result = await ended.promise;
        if (result !== undefined) return result;
      } catch (error) {
        // While the VM itself is away, too, we come back.
        if (!started || (error.code !== undefined && error.code !== instanceOffline)) throw error;
      } finally {
        signal.removeEventListener("abort", leave);
        rpc.close();
      }
    }
    if (signal.aborted) return undefined;
    setOutcome("the connection to the VM was lost; the command goes on there, reconnecting…");
    await wait(2_000, signal);
  }
}

function showResult(result) {
  const how = {
    exited: `exit code ${result.exit_code}`,
    signalled: `ended by ${result.signal}`,
    timeout: "stopped: it ran for too long",
    idle_timeout: "stopped: it wrote nothing for too long",
    oom: "ended: out of memory",
    cancelled: "cancelled",
  };
  const text = how[result.reason] ?? `ended: ${result.reason ?? result.status}`;
  const { max_memory: memory, cpu_time: cpu } = result.resource_usage ?? {};
  const cost = memory === undefined ? "" : `, ${memory.toFixed(0)} MB, ${(cpu / 1000).toFixed(2)} s of CPU`;
  setOutcome(
    `${text} after ${(result.execution_time / 1000).toFixed(2)} s${cost}`,
    result.status === "completed" ? "good" : "bad",
  );
}
