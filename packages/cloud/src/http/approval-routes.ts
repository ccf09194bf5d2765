import type { Clock } from "@hl/core/clock.ts";
import { approvalList, type Approval } from "@hl/protocol/methods/approval-list.ts";
import type { FastifyInstance } from "fastify";
import type { Fleet } from "../fleet/fleet.ts";
import type { RequestService } from "../fleet/request-service.ts";
import type { Operator } from "../operators/operators.ts";
import type { InstanceStore } from "../store/store.ts";
import type { OperatorGuard } from "./operator-guard.ts";

export interface ApprovalRoutesOptions {
  readonly instances: InstanceStore;
  readonly fleet: Fleet;
  readonly requests: RequestService;
  readonly guard: OperatorGuard;
  readonly clock: Clock;
}

/** VMs that are asked at once. */
const askedAtOnceMax = 32;
/** A VM that has not answered in this time is left out, and named. */
const answerMs = 5_000;

/** What waits for a person in the whole fleet: the VMs that are connected are asked, since they alone know. */
export function approvalRoutes(app: FastifyInstance, options: ApprovalRoutesOptions): void {
  const { instances, fleet, guard } = options;
  app.get("/v1/approvals", { onRequest: guard.admits("GET /v1/approvals") }, async (request) => {
    const waiting = (await instances.list()).map(({ id }) => id).filter((id) => fleet.connection(id) !== undefined);
    const approvals: object[] = [];
    const unanswered: string[] = [];
    const operator = guard.of(request);
    const worker = async (): Promise<void> => {
      for (let instance = waiting.shift(); instance !== undefined; instance = waiting.shift()) {
        const found = await pendingOf(options, operator, instance);
        if (found === undefined) unanswered.push(instance);
        else approvals.push(...found.map((approval) => ({ instance, ...approval })));
      }
    };
    await Promise.all(Array.from({ length: Math.min(askedAtOnceMax, waiting.length) }, worker));
    return { approvals, unanswered };
  });
}

async function pendingOf(
  { requests, clock }: ApprovalRoutesOptions,
  operator: Operator,
  instanceId: string,
): Promise<readonly Approval[] | undefined> {
  const late = new AbortController();
  const cancel = clock.after(answerMs, () => late.abort(new Error(`no answer within ${answerMs} ms`)));
  const asked = { method: "approval/list", params: { state: "pending" }, authorization: undefined, waitMs: answerMs };
  try {
    const { answer } = await requests.forward({ operator, instanceId, ...asked, signal: late.signal });
    return "result" in answer ? approvalList.result.parse(answer.result).approvals : undefined;
  } catch {
    return undefined;
  } finally {
    cancel();
  }
}
