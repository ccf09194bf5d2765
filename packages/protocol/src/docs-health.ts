/** Renders docs/health.md from the registry of checks. */
import { clearShare, healthChecks, roundsToAlert, type HealthCheck } from "./health-checks.ts";

export function renderHealthDocs(): string {
  return `${introduction}
${rowsOf(Object.entries<HealthCheck>(healthChecks)).join("\n")}

${selfHealing}`;
}

const introduction = `<!-- Generated from packages/protocol/src/health-checks.ts by \`npm run docs\`. -->

# Health

\`system/health\`, \`GET /health\`, \`hl-client doctor\` and \`hl-health-check\` say the same: the daemon is \`unhealthy\` when a critical check holds, \`degraded\` when a
warning does, else \`healthy\`. Nothing else decides. \`hl-client doctor\` shows what holds with what to do.

Each alert that begins or ends is an event \`health_alert\` (\`state\` \`raised\` or \`cleared\`), each change of the verdict an event \`health_check\`. Checks run every
\`health_monitoring.check_interval\`, and whenever something is known to have changed. What is measured against a threshold alerts above it in ${roundsToAlert} rounds
in a row, and ends below ${clearShare * 100} % of it. What has a hold-off has to hold for so long. Thresholds are changed while the daemon runs.

| code | of | severity | what it means | hold-off | threshold | what to do | heals itself |
| --- | --- | --- | --- | --- | --- | --- | --- |`;

const selfHealing = `## Self-healing

Each step is an event \`self_healing\` and a line in the log: \`part\`, \`action\`, \`why\`, \`outcome\` (\`begun\`, \`recovered\`, \`failed\`, \`exhausted\`, \`reset\`), \`attempt\`,
\`attempts_max\`. Parts that heal by rules of their own without an end (store, cloud, writing of logs) have 0 attempts there.

The budget (\`health_monitoring.self_healing\`) is for hl-runner (\`runner\`), a disk that fills up (\`disk\`), a full one (\`disk_full\`) and the logs (\`logs\`), each with attempts of its own: \`max_restart_attempts\` in a row, \`restart_delay\` before the next one where the
last has not helped. When it is spent nothing more is tried, \`self_healing_exhausted\` says so, and the daemon goes on answering. \`hl-client doctor --retry\`
(\`system/healing/reset\`, permission \`daemon:restart\`) gives the attempts back; a part that was well for ten minutes has them back by itself. Agents have the budget of
\`claude_integration\`, whose end is told in the same way.
`;

function rowsOf(checks: readonly (readonly [string, HealthCheck])[]): string[] {
  return checks.map(([code, check]) => {
    const { area, severity, title, meaning, holdOffMs, threshold, remedy, healing } = check;
    const cells = [
      `\`${code}\``,
      area,
      severity,
      `${title}. ${meaning}`,
      holdOffMs === 0 ? "" : `${holdOffMs / 1000} s`,
      threshold === undefined ? "" : `\`${threshold}\``,
      remedy,
      healing ?? "",
    ];
    return `| ${cells.map((cell) => cell.replaceAll("|", "\\|")).join(" | ")} |`;
  });
}
