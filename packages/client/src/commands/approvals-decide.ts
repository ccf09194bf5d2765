import type { InputOf } from "@hl/protocol/method.ts";
import type { approvalDecide } from "@hl/protocol/methods/approval-decide.ts";
import { InvalidArgumentError, type Command } from "commander";
import * as z from "zod";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { gistOf } from "../render/approval.ts";
import { escapeLine } from "../render/escape.ts";
import type { Session } from "../session.ts";

const shared = { reason: z.string().optional(), inputHash: z.string().optional() };
const approveOptions = z.object({
  ...shared,
  input: z.record(z.string(), z.unknown()).optional(),
  remember: z.boolean().optional(),
});
const denyOptions = z.object({ ...shared, interrupt: z.boolean().optional() });

export function addApprovalsApprove(parent: Command, cli: Cli): void {
  verb(parent, "approve", "let the agent run the tool")
    .argument("<approval-id>", "see approvals list")
    .option("--remember", "do not ask again for the same in the agent's session")
    .option(
      "--input <json>",
      "run the tool with this input instead; also carries the answers to a question",
      jsonObject,
    )
    .option("--reason <text>", "for the record")
    .option("--input-hash <hash>", "input_hash of what you have looked at; refused where it is another")
    .action((approvalId: string, _options, command: Command) =>
      cli.run(command, (session) => {
        const { input, remember, reason, inputHash } = approveOptions.parse(command.opts());
        return decide(session, {
          ...{ approval_id: approvalId, decision: "allow", reason, input_hash: inputHash, updated_input: input },
          remember: remember === true ? "session" : undefined,
        });
      }),
    );
}

export function addApprovalsDeny(parent: Command, cli: Cli): void {
  verb(parent, "deny", "do not let the agent run the tool")
    .argument("<approval-id>", "see approvals list")
    .option("--reason <text>", "told to the model word for word")
    .option("--interrupt", "end the agent's turn as well")
    .option("--input-hash <hash>", "input_hash of what you have looked at; refused where it is another")
    .action((approvalId: string, _options, command: Command) =>
      cli.run(command, (session) => {
        const { reason, interrupt, inputHash: input_hash } = denyOptions.parse(command.opts());
        return decide(session, { approval_id: approvalId, decision: "deny", reason, input_hash, interrupt });
      }),
    );
}

async function decide(session: Session, params: InputOf<typeof approvalDecide>): Promise<number> {
  using connection = await session.connect();
  const approval = await connection.call("approval/decide", params);
  if (session.json) session.printJson(approval);
  else session.out.line(`${approval.state}: ${escapeLine(`${approval.tool_name} ${gistOf(approval)}`)}`);
  return exitCode.ok;
}

function jsonObject(text: string): unknown {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new InvalidArgumentError(`It must be JSON: ${(error as Error).message}`);
  }
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new InvalidArgumentError("It must be a JSON object.");
}
