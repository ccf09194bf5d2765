import { Human, type HumanOptions } from "@hl/testkit/human.ts";
import { testInstanceId, type TestSystem } from "@hl/testkit/system.ts";

/** Names of the ways that hl-client has to one daemon, with the environment that takes it there: its own socket, and through hl-cloud. */
export type Ways = readonly (readonly [name: string, env: Readonly<Record<string, string>>])[];

export function waysTo({ daemon, cloud }: TestSystem): Ways {
  const throughCloud = {
    ...{ HL_CLOUD: cloud.url, HL_INSTANCE: testInstanceId, HL_OPERATOR_TOKEN_FILE: cloud.operatorTokenFile },
  };
  return [
    ["local", { HL_DAEMON_HOME: daemon.home }],
    ["cloud", throughCloud],
  ];
}

/** A person at hl-client, by each way in turn. */
export async function eachWayAt(
  ways: Ways,
  args: readonly string[],
  person: (human: Human, way: string) => Promise<void>,
  options: HumanOptions = {},
): Promise<void> {
  for (const [way, env] of ways) {
    using human = new Human("hl-client", args, { ...options, env: { ...env, ...options.env } });
    await person(human, way);
  }
}
