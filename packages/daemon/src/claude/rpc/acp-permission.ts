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
      canRemember: options.some(({ kind }) => kind === "allow_always"),
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
  const choose = (...kinds: string[]): RpcAnswer => {
    const chosen = kinds.flatMap((wanted) => options.find(({ kind }) => kind === wanted) ?? [])[0];
    return chosen === undefined
      ? cancelled
      : { result: { outcome: { outcome: "selected", optionId: chosen.optionId } } };
  };
  if (decision.behavior !== "allow" || decision.updatedInput !== undefined) return choose("reject_once");
  return decision.remember === "session" ? choose("allow_always", "allow_once") : choose("allow_once");
}
