/**
 * The environment of a real agent in tests and in the demo: everything it asks goes to the stub, nothing to the internet.
 */

/**
 * Variables to give an agent beside PATH, HOME and its own folders (`CLAUDE_CONFIG_DIR`, `CLAUDE_CODE_TMPDIR`); inherit nothing else.
 * `apiUrl` is the address of the stub of the model's API. `CLAUDE_CODE_SUBPROCESS_ENV_SCRUB` is missing on purpose: with it Claude Code
 * 2.1.330 refuses to start where bubblewrap is not installed, and the key here is no secret.
 */
export function agentEnvironment(apiUrl: string): Record<string, string> {
  return {
    ANTHROPIC_BASE_URL: apiUrl,
    ANTHROPIC_API_KEY: "test-key",
    // Without these four it resolves api.anthropic.com and probes the base address at start.
    CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC: "1",
    DISABLE_TELEMETRY: "1",
    DISABLE_ERROR_REPORTING: "1",
    DISABLE_AUTOUPDATER: "1",
    // By default it retries ten times, which turns a steady 500 into three minutes of waiting.
    CLAUDE_CODE_MAX_RETRIES: "1",
    // The source of idle, running and requires_action.
    CLAUDE_CODE_EMIT_SESSION_STATE_EVENTS: "1",
  };
}
