import type { Session } from "../session.ts";
import { LoadMeter } from "./loads.ts";
import { takeSample } from "./sample.ts";
import { agentLines, commandLines, findingLines, resourceLines, statusLine } from "./sections.ts";
import { sorted } from "./view.ts";

/** What the view would show, once and whole, for programs and where there is no terminal. */
export async function printSnapshot(session: Session): Promise<void> {
  using connection = await session.connect();
  const sample = await takeSample(connection);
  const { paint, out, json } = session;
  if (json) {
    session.printJson(sample);
    return;
  }
  const loads = new LoadMeter().take(sample, session.clock.now());
  const ground = { width: out.columns ?? Infinity, paint };
  const commands = sorted(sample.commands ?? [], "cpu", loads.commands);
  const lines = [
    statusLine(sample, undefined, ground),
    ...resourceLines(sample, loads, ground),
    ...findingLines(sample, ground),
    ...agentLines(sample, ground),
    ...commandLines(sample, { commands, loads, selectedId: undefined, sort: "cpu" }, ground),
  ];
  for (const line of lines) out.line(line.trimEnd());
}
