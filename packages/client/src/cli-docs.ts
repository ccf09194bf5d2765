import type { Command } from "commander";
import { exitCodeMeanings } from "./exit-codes.ts";
import { healthCheckUsage } from "./health-check/options.ts";
import { buildProgram } from "./program.ts";

/** docs/cli.md, from the same declarations as `--help`. */
export function renderCliDocs(): string {
  const program = buildProgram({ run: () => Promise.resolve() });
  const verbs = leaves(program).map((command) => section(nameOf(command), helpOf(command)));
  return [
    "# Command line\n",
    "Generated from `hl-client --help` and `hl-health-check --help` by `npm run docs`; do not edit.\n",
    "## hl-client\n",
    `${fenced(helpOf(program))}\n`,
    connecting,
    "### Exit codes\n",
    exitCodeTable(),
    output,
    ...verbs,
    "## hl-health-check\n",
    fenced(healthCheckUsage),
    "",
  ].join("\n");
}

const connecting = `### Which daemon

The first that applies; what is on the command line comes before the environment.

| where | from | token |
| --- | --- | --- |
| a VM behind hl-cloud | \`--cloud\` with \`--instance\`, \`HL_CLOUD\` with \`HL_INSTANCE\` | \`--token-file\`, \`HL_OPERATOR_TOKEN_FILE\`, in a checkout \`.hl/operator-token\` |
| a daemon's local HTTP | \`--url\` | \`--token-file\`, \`HL_TOKEN_FILE\`, the default socket's \`local_token\`; with \`--cert\` none but one that is named |
| a daemon's socket | \`--socket\`, \`HL_DAEMON_SOCKET\`, \`HL_DAEMON_HOME/data/state/daemon.sock\`, in a checkout \`.hl/vm/data/state/daemon.sock\`, else \`/opt/freestyle/hl-daemon/data/state/daemon.sock\` | \`--token-file\`, \`HL_TOKEN_FILE\`, \`data/auth/local_token\` beside the socket's folder |

A token is the local one, a JWT, or for the cloud an operator's. It is sent over plain http to this machine only. Over https \`--cacert\` (\`HL_CACERT\`) names the authorities
of the server, \`--cert\` and \`--key\` (\`HL_CERT\`, \`HL_KEY\`) a client certificate. The connection options may stand before the verb or behind it
(\`exec\` takes its own \`--timeout\` behind it).
`;

const output = `### Output

- With \`--json\` standard output is one JSON document, or one a line for what streams, in the protocol's own types (docs/protocol.md);
  failures are \`{"error": …}\` and remarks \`{"notice": …}\` on standard error.
- \`exec --json\` prints the command's state when it was accepted (\`status\`), then its output (\`stream\`) and gaps (\`bytes\`), at last its end (\`status\`).
- Colour is used on a terminal only and never with \`NO_COLOR\`. Control characters from the other side are shown escaped;
  \`exec\` and \`logs\` pass the command's own bytes on untouched.
- \`exec\` and \`logs --follow\` survive a lost connection for two minutes and go on behind the last byte. \`exec\` asks again with the same
  command id, so nothing runs twice.
- \`exec --pty\` gives every key to the command, Ctrl-C too. At the beginning of a line \`~.\` cancels it (once more leaves at once) and \`~~\` is one tilde;
  only where standard input is a terminal, so piped bytes are never read as keys. Our terminal is given back as it was at every end but SIGKILL.
  What it shows is all standard output. TERM is ours.
- \`exec --dry-run\` says whether the daemon would run the command (0) or refuse it (126), by which rule, and what would run in what sandbox and within what
  limits. Nothing is started or recorded. A daemon that does not know dry runs is not asked, because it would run the command.
- Input of \`exec --stdin\` and \`exec --pty\` survives a lost connection too: each piece says where it begins, so no byte is given twice or left out.
  A daemon that was killed just after the end of a terminal's piped input may type that end once more.
- \`file put\` and \`file get\` hold a few MiB of a file in memory, whatever its size. A lost connection is made again for two minutes; what was interrupted is gone on with
  by the same line once more. The target is old or new, never half: parts gather beside it, as \`.hl-upload-…\` in the VM and \`….part\` here, and the whole is checked by SHA-256.
- \`claude chat\` at a terminal: text as it comes, a line for each tool, permission requests where they are asked, answered with one key as in
  \`approvals watch\`. Ctrl-C interrupts the turn and a second one within 2 s leaves (130); Ctrl-D leaves (0); \`/help\` says the rest.
- \`claude chat\` without a terminal: each line of standard input, at most 10 MiB, is a message and waits for the turn before; 1 where a turn failed. With \`--json\` what the
  agent does is an item of \`claude/subscribe\` (it has a \`type\`), a permission request has \`approval_id\`, the end of a turn \`response\`.
- \`claude chat\`, \`send\` and \`relay\` survive a lost connection for two minutes and ask again with the same relay id, so no message is sent twice.
- \`top\` at a terminal is a live view until \`q\` (0) or Ctrl-C (130). Changes are shown as the daemon tells them, at most four times a second; what changes by itself
  (processors, memory, times) once an interval. \`c\` cancels the chosen command after a question, which a \`y\` typed by itself answers. A daemon that goes is shown
  as disconnected with what was seen last, and comes back; what the role may not see says so in its place. \`CPU %\` is of one processor since the sample
  before, at first since the start. Without a terminal, with \`TERM=dumb\`, \`--once\` or \`--json\` it is printed once (0, however the daemon is).
- Ctrl-C cancels the command of \`exec\`, and interrupts the turn of \`claude send\`; once more leaves at once. When the reader of standard
  output goes (\`| head\`), \`exec\` cancels its command and exits 141.
`;

function leaves(command: Command): Command[] {
  return command.commands.length === 0 ? [command] : command.commands.flatMap(leaves);
}

function nameOf(command: Command): string {
  return command.parent === null ? command.name() : `${nameOf(command.parent)} ${command.name()}`;
}

/** The help at a fixed width, whatever terminal the generator runs in. */
function helpOf(command: Command): string {
  return command.configureOutput({ getOutHelpWidth: () => 120, getOutHasColors: () => false }).helpInformation();
}

function section(title: string, help: string): string {
  return `### ${title}\n\n${fenced(help)}\n`;
}

function fenced(text: string): string {
  return `\`\`\`text\n${text.trimEnd()}\n\`\`\``;
}

function exitCodeTable(): string {
  const rows = exitCodeMeanings.map(([code, meaning]) => `| ${code} | ${meaning} |`);
  return ["| code | meaning |", "| --- | --- |", ...rows, ""].join("\n");
}
