/**
 * Goal: `claude_integration.communication` of the whole daemon: messages to an agent end as configured, and an answer that is many times as long as
 * one read is one message. Method: an agent whose every byte the test decides and sees.
 */
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { FakeAgents } from "@hl/testkit/fake-agent.ts";
import { temporaryFolder } from "@hl/testkit/programs.ts";
import { agentWorld } from "./agent-world.ts";

describe("messages of an agent", () => {
  let agents: FakeAgents;
  before(async () => void (agents = await FakeAgents.start()));
  after(() => agents[Symbol.asyncDispose]());

  for (const [message_delimiter, end] of [
    [undefined, /[^\r]\n$/],
    ["\r\n", /\r\n$/],
  ] as const) {
    test(`messages end with message_delimiter ${JSON.stringify(message_delimiter)}, also with a buffer_size of 512 bytes`, async () => {
      using folder = temporaryFolder("hl-agent-messages");
      const communication = { buffer_size: 512, ...(message_delimiter === undefined ? {} : { message_delimiter }) };
      await using world = await agentWorld(agents, folder.path, { claude_integration: { communication } });
      const { agent } = world;
      const answer = world.relay("hello");
      await agent.prompt(1);
      agent.claude.start();
      const said = "ä€𝄞 ".repeat(5_000);
      const result = {
        type: "result",
        subtype: "success",
        is_error: false,
        num_turns: 1,
        session_id: "s1",
        result: said,
      };
      await agent.write(`${JSON.stringify(result)}${message_delimiter ?? "\n"}`);
      assert.equal((await answer).text, said);
      const lines = Buffer.concat(agent.input)
        .toString()
        .split(/(?<=\n)/);
      assert.ok(lines.length >= 2);
      for (const line of lines) assert.match(line, end);
    });
  }
});
