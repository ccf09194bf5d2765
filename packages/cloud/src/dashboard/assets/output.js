import { element } from "./page.js";

const outputCharsMax = 500_000;

/** Writes to the output pane in one go a frame, and keeps it bounded. */
export function outputPane(pane) {
  const decoders = { stdout: new TextDecoder(), stderr: new TextDecoder() };
  let waiting = [];
  let shown = 0;
  let dropped = false;
  const flush = () => {
    const atEnd = pane.scrollTop + pane.clientHeight >= pane.scrollHeight - 8;
    for (const { kind, text } of waiting) {
      pane.append(element("span", { class: kind }, text));
      shown += text.length;
    }
    waiting = [];
    while (shown > outputCharsMax && pane.children.length > 1) {
      if (dropped) pane.children[1].remove();
      else pane.prepend(element("span", { class: "note" }, "[earlier output is not shown; command/logs has it]\n"));
      dropped = true;
      shown = pane.textContent.length;
    }
    if (atEnd) pane.scrollTop = pane.scrollHeight;
  };
  const write = (kind, text) => {
    if (text === "") return;
    if (waiting.length === 0) requestAnimationFrame(flush);
    const last = waiting.at(-1);
    if (last?.kind === kind) last.text += text;
    else waiting.push({ kind, text });
  };
  return {
    note: (text) => write("note", `${text}\n`),
    output: ({ stream, data, encoding }) => {
      const bytes =
        encoding === "base64"
          ? Uint8Array.from(atob(data), (character) => character.charCodeAt(0))
          : new TextEncoder().encode(data);
      // Colours and cursor movements mean nothing here.
      const text = decoders[stream].decode(bytes, { stream: true }).replaceAll(/\u001b\[[0-9;?]*[A-Za-z]/g, "");
      write(stream, text);
      return bytes.length;
    },
  };
}
