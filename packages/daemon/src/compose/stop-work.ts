import type { Agents } from "../claude/agents.ts";
import type { Commands } from "../commands/commands.ts";

/** An operator has revoked this VM: what runs here ends (P1). Nothing new comes, because there is no command channel. */
export async function stopWork(commands: Commands, agents: Agents): Promise<void> {
  const running = commands.runningIds().map(async (id) => commands.cancel(await commands.get(id), undefined));
  await Promise.allSettled([...running, agents.stopAll()]);
}
