import { $, element, wait } from "./page.js";
import { api, instancePath } from "./session.js";

const eventsShownMax = 200;

/** Events as they come; a lost connection goes on where it was. */
export async function followEvents(id, signal) {
  let cursor;
  while (!signal.aborted) {
    try {
      const response = await api(instancePath(id, "/events?last=100"), {
        signal,
        headers: { accept: "text/event-stream", ...(cursor === undefined ? {} : { "last-event-id": cursor }) },
      });
      $("events-state").textContent = "live";
      let text = "";
      for await (const chunk of chunksOf(response.body.pipeThrough(new TextDecoderStream()))) {
        const blocks = (text + chunk).split("\n\n");
        text = blocks.pop();
        for (const block of blocks) {
          const fields = Object.fromEntries(block.split("\n").map((line) => line.split(/: (.*)/s, 2)));
          if (fields.data === undefined) continue;
          cursor = fields.id;
          showEvent(JSON.parse(fields.data));
        }
      }
    } catch (error) {
      if (signal.aborted) return;
      $("events-state").textContent = error.status === 403 ? "your role may not see events" : "reconnecting…";
      if (error.status === 403) return;
    }
    await wait(2_000, signal);
  }
}

async function* chunksOf(stream) {
  const reader = stream.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

function showEvent(event) {
  const time = new Date(event.timestamp * 1000);
  const row = element(
    "li",
    {},
    element(
      "details",
      {},
      element(
        "summary",
        {},
        element("time", { datetime: time.toISOString(), title: time.toLocaleString() }, time.toLocaleTimeString()),
        element("span", { class: event.severity }, event.severity),
        element("span", { class: "type", title: event.event_type }, event.event_type),
        element("span", { class: "gist" }, JSON.stringify(event.data)?.slice(0, 300) ?? ""),
      ),
      element("pre", {}, JSON.stringify(event, null, 2)),
    ),
  );
  $("events-empty").hidden = true;
  $("events").prepend(row);
  while ($("events").children.length > eventsShownMax) $("events").lastElementChild.remove();
}
