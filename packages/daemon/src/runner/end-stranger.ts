import type { Runner } from "./runner.ts";

/** Ends a run that nobody wants any more, with its whole tree (P1), and removes what it has left. Answers its pid, where there was one. */
export async function endStranger(runner: Runner, id: string, signal?: AbortSignal): Promise<number | undefined> {
  const run = await runner.find(id, signal);
  if (run === undefined) return undefined;
  run.stop("daemon_lost", 0);
  await Promise.all([run.ended, run.empty]);
  run.release();
  await run.left; // Before that its folder is in use.
  await run.forget();
  return run.pid;
}
