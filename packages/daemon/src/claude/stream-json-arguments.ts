/**
 * How Claude Code is started for the stream-json adapter. `--setting-sources user` is a security setting: without it a hook in the
 * repository runs its shell command at start, unasked. `--permission-prompt-tool stdio` brings permission requests to us.
 */
export const streamJsonArguments: readonly string[] = [
  "-p",
  ...["--input-format", "stream-json", "--output-format", "stream-json", "--verbose", "--include-partial-messages"],
  ...["--permission-prompt-tool", "stdio", "--setting-sources", "user", "--strict-mcp-config"],
];
