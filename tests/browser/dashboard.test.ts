import assert from "node:assert/strict";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { chromium, type Browser, type Page } from "playwright-core";
import type { Message } from "@hl/testkit/message-client.ts";
import { FakeAgents } from "@hl/testkit/fake-agent.ts";
import { runProgram, temporaryFolder } from "@hl/testkit/programs.ts";
import { startSystem, testInstanceId } from "@hl/testkit/system.ts";

// Goal: the dashboard does for a person what the issue asks of it: instances, health, a command with live output, events.
// Method: a real Chromium against the real hl-cloud with a real enrolled hl-daemon; what is asserted is what the page shows.
const executablePath = ["/usr/bin/chromium", "/usr/bin/chromium-browser", "/usr/bin/google-chrome"].find(existsSync);
const skip = executablePath === undefined ? "no Chromium on this machine: apt-get install chromium" : false;

async function openBrowser(profile: string): Promise<Browser> {
  return chromium.launch({
    executablePath: executablePath ?? "",
    headless: true,
    args: [
      ...["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"],
      ...["--disable-component-update", "--disable-sync", `--crash-dumps-dir=${profile}`],
    ],
  });
}

/** Everything the page complains about; a violation of its own content security policy is one of them. */
function complaintsOf(page: Page): string[] {
  const complaints: string[] = [];
  page.on("pageerror", (error) => complaints.push(error.message));
  page.on("console", (message) => {
    if (message.type() === "error") complaints.push(message.text());
  });
  return complaints;
}

test("an operator signs in, sees the VM, runs a command with live output and follows events", { skip }, async () => {
  await using system = await startSystem();
  using folder = temporaryFolder("hl-browser");
  const browser = await openBrowser(folder.path);
  try {
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(`${system.cloud.url}/#token=${system.cloud.operatorToken}`);
    assert.doesNotMatch(page.url(), /token=/, "X4: the token does not stay in the address");

    await page.locator("#fleet-list").getByText("test-vm-001").click();
    await page.locator("#detail-title").getByText("test-vm-001").waitFor();
    await page
      .locator("#detail-status")
      .getByText(/healthy/i)
      .waitFor();

    await page
      .locator("#command")
      .fill(`python3 -c "import sys; print('one', flush=True); sys.stdin.read(); print('two')"`);
    await page.locator("#run-button").click();
    await page.locator("#output").getByText("two").waitFor();
    assert.match((await page.locator("#output").textContent()) ?? "", /one\s+two/);
    await page
      .locator("#outcome")
      .getByText(/exit.*0|completed/i)
      .waitFor();
    await page.locator("#events").getByText("process_end").first().waitFor();

    await page.locator("#command").fill("sudo id");
    await page.locator("#run-button").click();
    await page
      .locator("#outcome")
      .getByText(/blocked/)
      .waitFor();

    await page.locator("#command").fill(`python3 -c "import time; print('running', flush=True); time.sleep(600)"`);
    await page.locator("#run-button").click();
    await page.locator("#output").getByText("running").waitFor();
    await page.locator("#cancel").click();
    await page
      .locator("#outcome")
      .getByText(/cancel/i)
      .waitFor();
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
});

test(
  "C5: a copied VM is shown where the VM is: in the fleet, as an alert, as an event; so is a revoked one",
  { skip },
  async () => {
    await using system = await startSystem();
    const { cloud, daemon, operator } = system;
    const startCopy = await daemon.copy();
    await operator.online(); // It stood still for the copy.
    using folder = temporaryFolder("hl-browser");
    const browser = await openBrowser(folder.path);
    try {
      const page = await browser.newPage();
      const complaints = complaintsOf(page);
      await page.goto(`${cloud.url}/#token=${cloud.operatorToken}`);
      await page.locator("#detail-title").getByText(testInstanceId).waitFor();
      assert.equal(await page.locator("#alerts").getByText("in use twice").count(), 0);
      {
        await using _second = await startCopy();
        await page.locator("#events").getByText("security.identity_in_use").first().waitFor();
        await page.locator("#alerts").getByText("This identity is in use twice").waitFor();
        await page.locator("#fleet-list").getByText("identity in use twice").waitFor();
      }
      assert.equal((await operator.instance()).online, true);
      const revoked = await runProgram("hl-cloud", ["revoke", "--home", cloud.home, "--instance", testInstanceId]);
      assert.equal(revoked.code, 0, revoked.stderr);
      await page.locator("#events").getByText("security.instance_revoked").first().waitFor();
      await page.locator("#alerts").getByText("This VM is revoked").waitFor();
      await page.locator("#fleet-list").getByText("credentials revoked").waitFor();
      assert.deepEqual(complaints, []);
    } finally {
      await browser.close();
    }
  },
);

test("A3: what the agent asks is shown with all it would do; allowed and denied with a button", { skip }, async () => {
  await using agents = await FakeAgents.start();
  using folder = temporaryFolder("hl-browser");
  await using system = await startSystem({ config: { claude_integration: agents.config(folder.path) } });
  const starting = system.operator.call("claude/start", { workspace_path: system.daemon.workspace });
  const agent = await agents.next();
  await agent.initialized(1);
  await starting;
  const answered = async (id: string): Promise<string> =>
    (await agent.got(({ response }) => response?.request_id === id)).response.response.behavior;
  const browser = await openBrowser(folder.path);
  try {
    const page = await browser.newPage();
    const complaints = complaintsOf(page);
    await page.goto(`${system.cloud.url}/#token=${system.cloud.operatorToken}`);
    await page.locator("#fleet-list").getByText("test-vm-001").click();
    agent.claude.ask("p1", { input: { command: "touch <b>one</b>\u202e" }, decision_reason: "it writes" });
    const asked = page.locator("#approvals li");
    await asked.getByText("command: touch <b>one</b>\\u{202e}").waitFor();
    await asked.getByText("it writes").waitFor();
    agent.claude.ask("p2", { input: { command: "touch two" } });
    await asked.getByText("touch two").waitFor();
    await asked.filter({ hasText: "two" }).getByRole("button", { name: "Deny" }).click();
    assert.equal(await answered("p2"), "deny");
    await asked.filter({ hasText: "two" }).waitFor({ state: "detached" });
    await asked.getByRole("button", { name: "Allow", exact: true }).click();
    assert.equal(await answered("p1"), "allow");
    await page.locator("#approvals-section").waitFor({ state: "hidden" });
    const { approvals } = await system.operator.call("approval/list");
    assert.deepEqual(
      approvals.map((approval: Message) => approval.decided_by.on_behalf_of),
      ["tester", "tester"],
    );
    agent.claude.ask("p3");
    await asked.getByText("touch made.txt").waitFor();
    agent.claude.say({ type: "control_cancel_request", request_id: "p3" });
    await asked.first().waitFor({ state: "detached" });
    assert.deepEqual(complaints, []);
  } finally {
    await browser.close();
  }
});

test(
  "agents are shown with state, turns and cost; the transcript of one is live, and goes on after a crash of the daemon",
  { skip },
  async () => {
    await using agents = await FakeAgents.start();
    using folder = temporaryFolder("hl-browser");
    await using system = await startSystem({
      config: { claude_integration: { ...agents.config(folder.path), restart_on_failure: false } },
    });
    const starting = system.operator.call("claude/start", { workspace_path: system.daemon.workspace });
    const agent = await agents.next();
    await agent.initialized(1);
    const { process_id } = await starting;
    const relay = (message: string): void =>
      void system.operator.call("claude/relay", { process_id, message }).catch(() => {});
    const browser = await openBrowser(folder.path);
    try {
      const page = await browser.newPage();
      const complaints = complaintsOf(page);
      await page.goto(`${system.cloud.url}/#token=${system.cloud.operatorToken}`);
      await page.locator("#fleet-list").getByText("test-vm-001").click();
      relay("list <b>the files</b>");
      await agent.prompt(1);
      agent.claude.start();
      agent.claude.finish("here they are\u202e", { total_cost_usd: 0.25 });
      const shown = page.locator("#agents li").first();
      await shown.getByText("1 turn, 10 tokens, $0.25").waitFor();
      await shown.getByRole("button").click();
      const transcript = page.locator("#transcript");
      await transcript.getByText("list <b>the files</b>").waitFor();
      await transcript.getByText("here they are\\u{202e}").waitFor();
      await page.locator("#agents-state").getByText("live").waitFor();

      relay("second");
      await agent.prompt(2);
      agent.claude.start();
      // Its end can be the beginning of no token, or it would wait for more.
      const half = "half an ans…";
      const event = { type: "content_block_delta", delta: { type: "text_delta", text: half } };
      agent.claude.say({ type: "stream_event", session_id: "s1", parent_tool_use_id: null, event });
      await transcript.getByText(half).waitFor();
      await system.daemon.kill();
      agent.claude.finish("half an answer no more");
      await system.daemon.restart();
      await transcript.getByText("half an answer no more").waitFor();
      assert.equal(await transcript.getByText(half).count(), 0);
      assert.equal(await transcript.getByText("here they are").count(), 1);
      agent.end();
      await transcript.getByText("exit code 7").waitFor();
      await shown.getByText("ended with 7").waitFor();
      const expected = /status of 503/; // What was asked while the daemon was dead.
      assert.deepEqual(
        complaints.filter((complaint) => !expected.test(complaint)),
        [],
      );
    } finally {
      await browser.close();
    }
  },
);

test("X3: a wrong token shows nothing but the way in", { skip }, async () => {
  await using system = await startSystem();
  using folder = temporaryFolder("hl-browser");
  const browser = await openBrowser(folder.path);
  try {
    const page = await browser.newPage();
    await page.goto(system.cloud.url);
    await page.locator("#token").fill("hlo_not-a-token");
    await page.locator("#sign-in-form button").click();
    await page.locator("#sign-in-error").getByText(/./).waitFor();
    assert.equal(await page.locator("#app").isVisible(), false);
  } finally {
    await browser.close();
  }
});
