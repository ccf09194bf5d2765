/** A flood in a process of its own: `flood.ts socket PATH|http HOST:PORT RATE SECONDS`. Says what it has done as one JSON line at its end. */
import { connect } from "node:net";
import { Flood, httpGarbage, lineGarbage } from "@hl/testkit/flood.ts";

const [kind = "", address = "", rate = "", seconds = ""] = process.argv.slice(2);
const port = Number(address.split(":").at(-1));
const flood = new Flood({
  connect: () => (kind === "socket" ? connect(address) : connect(port, "127.0.0.1")),
  garbage: kind === "socket" ? lineGarbage : httpGarbage(address),
  connections: 64,
});
const startedAt = performance.now();
const endsAt = startedAt + Number(seconds) * 1000;
/** What was not sent in time is not made up for: the rate is a bound. */
const perTickMax = (Number(rate) / 1000) * 20;
let dueAt = startedAt;

const timer = setInterval(() => {
  const now = performance.now();
  const due = ((now - dueAt) * Number(rate)) / 1000;
  dueAt = now;
  flood.send(Math.min(due, perTickMax));
  if (now < endsAt) return;
  clearInterval(timer);
  flood[Symbol.dispose]();
  const { requests, opened, received } = flood;
  const cpu = process.cpuUsage();
  const cpuMs = (cpu.user + cpu.system) / 1000;
  process.stdout.write(`${JSON.stringify({ requests, opened, received, seconds: (now - startedAt) / 1000, cpuMs })}\n`);
}, 4);
