import type { Decision } from "../agent.ts";
import type { AcpTools } from "./acp-tools.ts";
import { permissionRequest, type PermissionOption } from "./acp-messages.ts";
import { isObject, type RpcAnswer } from "./rpc-lines.ts";
import type { AskedPermission } from "./rpc-permissions.ts";

const cancelled: RpcAnswer = { result: { outcome: { outcome: "cancelled" } } };

/**
 * A permission request of ACP. The agent offers options and takes one of them: a reason for a denial and another input have no place in
 * it. The reason is lost; another input is a denial, since what would run is not what was decided.
 */
export function acpPermission(
  params: unknown,
  raw: unknown,
  tools: AcpTools,
  interrupt: () => void,
): AskedPermission | undefined {
  const asked = permissionRequest.safeParse(params).data;
  if (asked === undefined) return undefined;
  const { toolCall, options } = asked;
  const known = tools.merge(toolCall);
  return {
    request: {
      toolName: known.name,
      toolUseId: toolCall.toolCallId,
      input: isObject(known.input) ? known.input : {},
      title: toolCall.title ?? undefined,
      requiresUserInteraction: false,
      canRemember: forThisSession(options) !== undefined,
      canEdit: false,
      raw,
    },
    answer: (decision) => answerOf(decision, options),
    cancelled,
    onDecided: (decision) => {
      if (decision.behavior === "deny" && decision.interrupt === true) interrupt();
    },
  };
}

/** By kind, never by the option's id, which is the agent's own. What is not offered is denied; anything unclear is too. */
function answerOf(decision: Decision, options: readonly PermissionOption[]): RpcAnswer {
  const choose = (wanted: string): RpcAnswer => {
    const chosen = options.find(({ kind }) => kind === wanted);
    return chosen === undefined ? cancelled : selected(chosen);
  };
  if (decision.behavior !== "allow" || decision.updatedInput !== undefined) return choose("reject_once");
  const remembered = decision.remember === "session" ? forThisSession(options) : undefined;
  return remembered === undefined ? choose("allow_once") : selected(remembered);
}

/**
 * The kind `allow_always` does not say for how long: with some agents it is a rule in the repository's or the user's settings, or a mode that
 * asks for nothing any more. Only the option's name says it, so what is not clearly for this session is not remembered.
 */
function forThisSession(options: readonly PermissionOption[]): PermissionOption | undefined {
  const named = options.filter(({ kind, name }) => kind === "allow_always" && /\bthis session\b/iu.test(name));
  return named.length === 1 ? named[0] : undefined;
}

function selected({ optionId }: PermissionOption): RpcAnswer {
  return { result: { outcome: { outcome: "selected", optionId } } };
}
