import { AgentFailure, type AgentInfo } from "../agent.ts";
import { version } from "@hl/protocol/version.ts";
import { initializeResult, sessionResult } from "./acp-messages.ts";
import type { RpcLink } from "./rpc-dialect.ts";
import type { RpcError } from "./rpc-lines.ts";

/** A session that is ready for prompts. */
export interface AcpSession {
  readonly info: AgentInfo;
  readonly sessionId: string;
  readonly canClose: boolean;
}

const protocolVersion = 1;
/** Modes in which an agent asks before it changes anything, by the names that agents give them; the first that is offered is taken. */
const askingModes = ["default", "ask", "read-only"];

/**
 * Claude's adapter takes the settings of the repository by default, whose hooks would run their commands unasked; here as in stream-json
 * (`--setting-sources user`) it takes the user's only. Other agents ignore what they do not know in `_meta`.
 */
const trustsNoRepository = { claudeCode: { options: { settingSources: ["user"] } } };

/**
 * Makes an agent ready: version, a session, and a mode that asks, because some begin in one that does not (A3). Where modes are offered and
 * none is known to ask, the agent is refused: what asks nobody must be asked for by name.
 */
export async function beginAcpSession(link: RpcLink, timeoutMs: number | undefined): Promise<AcpSession> {
  const { id, workspacePath, resume, orNew, mode } = link.session;
  const startedAt = link.now();
  const ask = async (method: string, params: object): Promise<unknown> => {
    const left = timeoutMs === undefined ? undefined : Math.max(1, timeoutMs - (link.now() - startedAt));
    const answer = await link.ask(method, params, left);
    if ("error" in answer) throw refused(method, answer.error);
    return answer.result;
  };
  const clientCapabilities = { fs: { readTextFile: false, writeTextFile: false }, terminal: false };
  const clientInfo = { name: "hl-daemon", version };
  const said = initializeResult.safeParse(await ask("initialize", { protocolVersion, clientCapabilities, clientInfo }));
  if (said.data?.protocolVersion !== protocolVersion) {
    throw new AgentFailure("control_refused", `The agent does not speak version ${protocolVersion} of ACP.`);
  }
  const { agentInfo, agentCapabilities, authMethods } = said.data;
  const offered = agentCapabilities?.sessionCapabilities;
  const common = { cwd: workspacePath, mcpServers: [], _meta: trustsNoRepository };
  let isNew = !resume;
  const open = async (): Promise<unknown> => {
    if (!resume) return await ask("session/new", common);
    try {
      return await reopen();
    } catch (error) {
      if (orNew !== true || !(error instanceof AgentFailure && error.kind === "control_refused")) throw error;
      isNew = true;
      return await ask("session/new", common);
    }
  };
  const reopen = async (): Promise<unknown> => {
    // A load repeats the conversation, which would look like new output, so it is the second choice.
    if (offered?.resume) return await ask("session/resume", { ...common, sessionId: id });
    if (agentCapabilities?.loadSession === true) return await ask("session/load", { ...common, sessionId: id });
    throw new AgentFailure("control_refused", "The agent cannot go on with an earlier session.");
  };
  const opened = sessionResult.safeParse(await open().catch((error: unknown) => withLogins(error, authMethods)));
  const sessionId = opened.data?.sessionId ?? (isNew ? undefined : id);
  if (sessionId === undefined)
    throw new AgentFailure("control_refused", "The agent opened a session without an id of at most 256 characters.");
  const modes = opened.data?.modes;
  const modeId = modes
    ? modeOf(
        mode,
        modes.availableModes.map((one) => one.id),
      )
    : undefined;
  if (modeId !== undefined) await ask("session/set_mode", { sessionId, modeId });
  else if (mode !== undefined)
    throw new AgentFailure("control_refused", `The agent has no modes, so not ${JSON.stringify(mode)}.`);
  const info = {
    protocol: "acp",
    agent_version: agentInfo?.version,
    session_id: sessionId,
    state: "idle",
    permission_mode: modeId,
    capabilities: Object.keys(offered ?? {}),
    models: [],
  } as const;
  return { info, sessionId, canClose: Boolean(offered?.close) };
}

function modeOf(asked: string | undefined, offered: readonly string[]): string {
  const mode = asked ?? askingModes.find((one) => offered.includes(one));
  if (mode !== undefined && offered.includes(mode)) return mode;
  const what = asked === undefined ? "none of them is known to ask before it acts" : `not ${JSON.stringify(asked)}`;
  const text = `The agent offers the modes ${offered.join(", ")}; ${what}. Name one in config_overrides.permission_mode.`;
  throw new AgentFailure("control_refused", text);
}

function withLogins(error: unknown, logins: readonly { name?: string | undefined }[] | null | undefined): never {
  const names = (logins ?? []).flatMap(({ name }) => name ?? []);
  if (!(error instanceof AgentFailure) || names.length === 0) throw error;
  const text = `${error.message} The agent wants one of: ${names.join(", ")}; log in there, or give its key in the environment.`;
  throw new AgentFailure(error.kind, text, error.facts, error);
}

function refused(method: string, { code, message }: RpcError): AgentFailure {
  return new AgentFailure("control_refused", `The agent refused "${method}" (${code}): ${message}`);
}
