import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { BenchDaemon } from "../daemon.ts";
import type { BenchContext, Benchmark } from "../context.ts";
import { closedLoop } from "../load.ts";
import type { Row } from "../report.ts";
import { digits, ms, summarize } from "../stats.ts";

const chunkBytes = 256 * 1024;
const atOnce = 4;

/** The file methods: what one small call costs, and how fast a large file goes in and out in parts. There is no budget for them. */
export const filesBench: Benchmark = { name: "files", run };

async function run(context: BenchContext): Promise<Row[]> {
  const daemon = await context.startDaemon({ config: { security: { sandbox_mode: true } } });
  const client = await daemon.connect();
  writeFileSync(join(daemon.workspace, "large"), Buffer.alloc(chunkBytes, "line of text\n"));
  const startedAt = performance.now();
  await client.send("file/stat", '{"path":"large"}');
  const firstMs = performance.now() - startedAt;
  const residentMb = workspaceOf(daemon);
  const text = JSON.stringify("x".repeat(4096));
  const base64 = JSON.stringify(Buffer.alloc(chunkBytes, 0xff).toString("base64"));
  const small = async (method: string, params: string): Promise<Row> => {
    await closedLoop({ atOnce: 1, count: 100 }, () => client.send(method, params));
    const times = summarize(
      (await closedLoop({ atOnce: 1, count: context.quick ? 200 : 1000 }, () => client.send(method, params))).samples,
    );
    return row(`${method}, one after the other`, `p50 ${ms(times.p50)}, p99 ${ms(times.p99)}`, {
      p50: times.p50,
      p99: times.p99,
    });
  };
  const large = async (what: string, work: (worker: number) => Promise<unknown>): Promise<Row> => {
    const load = await closedLoop({ atOnce, durationMs: context.quick ? 2_000 : 8_000 }, work);
    const perSecond = (load.perSecond * chunkBytes) / 1e6;
    return row(`${what}, parts of 256 KiB, ${atOnce} at once`, `${digits(perSecond)} MB/s`, {
      megabytesPerSecond: perSecond,
    });
  };
  const part = `{"path":"large","offset":0,"length":${chunkBytes},"encoding":"base64"}`;
  return [
    row("the first call, which starts hl-workspace", `${ms(firstMs)}, then ${digits(residentMb)} MB resident`, {
      firstMs,
      residentMb,
    }),
    await small("file/stat", '{"path":"large"}'),
    await small("file/write", `{"path":"small","data":${text}}`),
    await large("file/read", () => client.send("file/read", part)),
    await large("file/write", (worker) =>
      client.send("file/write", `{"path":"w${worker}","data":${base64},"encoding":"base64"}`),
    ),
  ];
}

function row(what: string, measured: string, values: Row["values"]): Row {
  return { what, budget: "", measured, verdict: "info", values };
}

/** Megabytes that hl-workspace has in memory. */
function workspaceOf(daemon: BenchDaemon): number {
  const pid = daemon
    .descendants()
    .find((one) => readFileSync(`/proc/${one}/cmdline`, "latin1").startsWith("hl-workspace"));
  return pid === undefined
    ? Number.NaN
    : Number(/^VmRSS:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/status`, "latin1"))?.[1]) / 1024;
}
