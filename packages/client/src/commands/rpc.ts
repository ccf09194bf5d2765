import { daemonMethods } from "@hl/protocol/methods.ts";
import type { Command } from "commander";
import { verb, type Cli } from "../cli.ts";
import { exitCode } from "../exit-codes.ts";
import { ClientFailure } from "../failure.ts";
import { readAll } from "../read-all.ts";
import { jsonText } from "../render/escape.ts";
import type { Session } from "../session.ts";

export function addRpc(parent: Command, cli: Cli): void {
  verb(parent, "rpc", "send any request and print its result as JSON")
    .argument("<method>", "for example system/info; rpc.discover lists them all")
    .argument("[json]", "the parameters, or - to read them from standard input")
    .action((method: string, json: string | undefined, _options, command: Command) =>
      cli.run(command, (session) => rpc(session, method, json)),
    );
}

async function rpc(session: Session, method: string, json: string | undefined): Promise<number> {
  const text = json === "-" ? await readAll(session.ports.stdin(), session.signal) : json;
  const params = parseParams(text);
  using connection = await session.connect();
  const known = Object.hasOwn(daemonMethods, method) ? daemonMethods[method as keyof typeof daemonMethods] : undefined;
  const result = await connection.ask(method, params, { timeoutMs: known?.timeoutMs ?? undefined });
  session.out.line(jsonText(result, session.json ? 0 : 2));
  return exitCode.ok;
}

function parseParams(text: string | undefined): unknown {
  if (text === undefined || text.trim() === "") return {};
  let params: unknown;
  try {
    params = JSON.parse(text);
  } catch (error) {
    throw new ClientFailure(
      "usage",
      `the parameters are not JSON: ${(error as Error).message}`,
      `An example: '{"detailed": true}'`,
    );
  }
  if (typeof params === "object" && params !== null) return params;
  throw new ClientFailure("usage", "the parameters must be a JSON object or array", `An example: '{"detailed": true}'`);
}
