/**
 * Goal: the integration tests that the specification lists, under its names, with its messages. Method: the real hl-daemon, hl-cloud,
 * hl-health-check and Claude Code as processes; where the specification has a mock (cloud, agent, event collector) the real thing
 * stands, and only the model behind the agent is a stub. Its sleeps are awaited events.
 */
import assert from "node:assert/strict";
import { join } from "node:path";
import { describe, test } from "node:test";
import { mkdirSync } from "node:fs";
import { agentEnvironment } from "@hl/testkit/agent-env.ts";
import { http } from "@hl/testkit/http.ts";
import type { Message } from "@hl/testkit/message-client.ts";
import { startModelApi } from "@hl/testkit/model-api/model-api.ts";
import { startSystem, TestCloud, TestDaemon } from "@hl/testkit/system.ts";
import { ensureAgents } from "../agents/install.ts";

describe("HLDaemonIntegrationTest", () => {
  test("test_daemon_startup", async () => {
    await using daemon = await TestDaemon.start();
    assert.equal(daemon.program.ready.ready, true);
    assert.equal(daemon.program.ready.pid, daemon.pid);

    const result = await daemon.healthCheck();

    assert.equal(result.code, 0, `Health check should pass: ${result.stdout.toString()}${result.stderr}`);
  });

  test("test_cloud_api_communication", async () => {
    await using cloud = await TestCloud.start();

    const { status, json: response } = await http(`${cloud.url}/v1/vm/register`, {
      token: await cloud.enroll("test-vm-001"),
      body: {
        jsonrpc: "2.0",
        id: "test-1",
        method: "vm/register",
        params: {
          instance_id: "test-vm-001",
          workspace_id: "test-workspace-001",
          capabilities: ["claude-code", "docker"],
          system_info: { os: "Ubuntu 22.04", arch: "x86_64", memory: 4096, cpu_cores: 2, disk_space: 50000 },
        },
      },
    });

    assert.equal(status, 200);
    assert.equal(response.id, "test-1");
    assert.ok("result" in response, JSON.stringify(response));
    assert.ok("registration_id" in response.result);
  });

  test("test_claude_integration", async () => {
    await using model = await startModelApi();
    const { claude } = await ensureAgents();
    const claude_integration = {
      binary_path: claude,
      environment: agentEnvironment(model.url),
      start_timeout_seconds: 60,
      stdio_timeout: 60,
    };
    await using daemon = await TestDaemon.start({ config: { claude_integration } });
    const testWorkspace = join(daemon.workspace, "hl-daemon-test");
    mkdirSync(testWorkspace);
    using client = await daemon.connect();

    const response = await client.ask(
      { jsonrpc: "2.0", id: "test-2", method: "claude/start", params: { workspace_path: testWorkspace } },
      90_000,
    );

    assert.ok("result" in response, JSON.stringify(response));
    assert.equal(response.result.status, "started");

    const relayResponse = await client.ask({
      jsonrpc: "2.0",
      id: "test-3",
      method: "claude/relay",
      params: {
        process_id: response.result.process_id,
        message: { jsonrpc: "2.0", id: "claude-test", method: "system/info", params: {} },
      },
    });

    assert.ok("result" in relayResponse, JSON.stringify(relayResponse));
    // The caller's own id is put back, and what answers is the agent: it knows its process id.
    assert.equal(relayResponse.result.response.id, "claude-test");
    assert.equal(relayResponse.result.response.result.pid, response.result.pid);
  });

  test("test_process_execution", async () => {
    await using daemon = await TestDaemon.start();

    const responses = await sendDaemonRequest(daemon, {
      jsonrpc: "2.0",
      id: "test-4",
      method: "command/execute",
      params: { command_id: "test-cmd-001", command: "echo", args: ["Hello, World!"], timeout: 10 },
    });

    for (const response of responses) {
      assert.ok("result" in response, JSON.stringify(response));
      assert.equal(response.result.exit_code, 0);
      assert.equal(response.result.stdout, "Hello, World!\n");
    }
  });

  test("test_security_restrictions", async () => {
    await using daemon = await TestDaemon.start();

    const responses = await sendDaemonRequest(daemon, {
      jsonrpc: "2.0",
      id: "test-5",
      method: "command/execute",
      params: { command_id: "test-cmd-002", command: "sudo", args: ["whoami"], timeout: 10 },
    });

    for (const response of responses) {
      assert.ok("error" in response, JSON.stringify(response));
      assert.equal(response.error.code, 1101);
      assert.match(response.error.message.toLowerCase(), /blocked/);
    }
  });

  test("test_event_streaming", async () => {
    await using system = await startSystem();

    const responses = await sendDaemonRequest(system.daemon, {
      jsonrpc: "2.0",
      id: "test-6",
      method: "event/stream",
      params: {
        event_id: "test-event-001",
        event_type: "test_event",
        timestamp: Math.trunc(Date.now() / 1000),
        data: { test: "data" },
        severity: "info",
      },
    });
    for (const response of responses) assert.equal(response.result?.status, "accepted", JSON.stringify(response));

    const received = await system.operator.event((event) => event.event_id === "test-event-001");
    assert.equal(received.event_type, "test_event");
    assert.deepEqual(received.data, { test: "data" });
    assert.equal(received.severity, "info");
  });

  test("test_health_monitoring", async () => {
    await using system = await startSystem();
    const { cloud, daemon } = system;
    assert.equal((await daemon.healthCheck()).code, 0);
    using client = await daemon.connect();
    await client.call("event/subscribe", { types: ["health_check"] });
    const health = (status: string): Promise<Message> =>
      client.next(({ method, params }) => method === "event/event" && params.data.status === status, 60_000);

    // The recoverable error condition: the control plane is gone. A connection that is back within ten seconds is no alert.
    await cloud.stop("SIGKILL");
    const degraded = await health("degraded");
    assert.deepEqual(
      degraded.params.data.alerts.map((alert: Message) => alert.code),
      ["cloud_disconnected"],
    );
    assert.equal((await daemon.healthCheck()).code, 2);

    await cloud.restart();
    await health("healthy");

    const result = await daemon.healthCheck();
    assert.equal(result.code, 0, `System should recover automatically: ${result.stdout.toString()}`);
  });

  test("test_performance_requirements", async () => {
    await using daemon = await TestDaemon.start();
    const startTime = performance.now();

    const response = await daemon.post({ jsonrpc: "2.0", id: "perf-test-1", method: "system/health", params: {} });

    // The specification's own bound, and the only timed assertion in this repository: the others are measured by `npm run bench`.
    const responseTime = (performance.now() - startTime) / 1000;
    assert.ok(responseTime < 0.5, `Health check should respond in <500ms, got ${responseTime.toFixed(3)}s`);
    assert.equal(response.result.status, "healthy");

    // The throughput test that the specification names and leaves open: many requests at once are all answered, each its own.
    using client = await daemon.connect();
    const ids = Array.from({ length: 1_000 }, (_, number) => `perf-test-${number + 2}`);
    const answers = await Promise.all(
      ids.map((id) => client.ask({ jsonrpc: "2.0", id, method: "system/health", params: {} })),
    );
    assert.deepEqual(
      answers.map((answer) => [answer.id, answer.result?.status]),
      ids.map((id) => [id, "healthy"]),
    );
  });
});

/** The daemon's answers to one message over each of its local interfaces: unix socket, HTTP and WebSocket, one after the other. */
async function sendDaemonRequest(daemon: TestDaemon, request: Message): Promise<readonly Message[]> {
  using socket = await daemon.connect();
  using webSocket = await daemon.connectWebSocket();
  const answers = [await socket.ask(request), await daemon.post(request), await webSocket.ask(request)];
  for (const answer of answers) {
    assert.equal(answer.jsonrpc, "2.0");
    assert.equal(answer.id, request.id);
    assert.equal(typeof answer.timestamp, "number");
  }
  return answers;
}
