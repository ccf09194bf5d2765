/** `health_monitoring`: what is measured, what is worth an alert, and what heals itself. */
import { count, flag, number, seconds, section, type Key } from "../declare.ts";

const percent = (fallback: number, summary: string): Key<number> =>
  number({ min: 1, max: 100, default: fallback, unit: "percent", reload: "live", summary });

export const healthMonitoringSection = section({
  summary: "Health.",
  keys: {
    enabled: flag({ default: true, reload: "live", summary: "Whether checks run by themselves." }),
    check_interval: seconds({ min: 1, max: 86_400, default: 60, reload: "live", summary: "Between rounds of checks." }),
    metrics_collection: flag({ default: true, reload: "live", summary: "Collect metrics for `GET /metrics`." }),
    alerts: section({
      summary: "Above these values an alert is raised.",
      keys: {
        cpu_threshold: percent(80, "Load of the processors."),
        memory_threshold: percent(85, "Memory in use."),
        disk_threshold: percent(90, "Fullest file system that the daemon uses."),
        load_threshold: number({
          min: 0.01,
          max: 10_000,
          default: 2,
          reload: "live",
          summary: "Load average over one minute, per core.",
        }),
        error_rate_threshold: number({
          max: 1,
          default: 0.05,
          reload: "live",
          summary: "Share of requests that failed by the daemon's fault, 0 to 1, in a round with at least 20.",
        }),
        loop_delay_threshold_ms: count({
          min: 1,
          max: 60_000,
          default: 500,
          unit: "milliseconds",
          reload: "live",
          summary: "Delay of the daemon's event loop, the 99th percentile of a round.",
        }),
        clock_skew_threshold_seconds: seconds({
          min: 1,
          max: 86_400,
          default: 60,
          reload: "live",
          summary: "Between this machine's clock and the control plane's, either way.",
        }),
        certificate_threshold_days: count({
          max: 3_650,
          default: 14,
          unit: "days",
          reload: "live",
          summary: "Fewer days left of a certificate that the daemon shows.",
        }),
        log_size_threshold_mb: count({
          min: 1,
          max: 1_048_576,
          default: 2_048,
          unit: "MiB",
          reload: "live",
          summary: "All log files of the daemon together.",
        }),
      },
    }),
    self_healing: section({
      summary: "Repair without a human.",
      keys: {
        enabled: flag({
          default: true,
          reload: "live",
          summary: "Whether anything is repaired, agents that end included.",
        }),
        restart_on_failure: flag({
          default: true,
          reload: "live",
          summary:
            "Whether hl-runner is started again when it ends; agents have `claude_integration.restart_on_failure`.",
        }),
        max_restart_attempts: count({
          max: 1000,
          default: 3,
          unit: "attempts",
          reload: "live",
          summary:
            "Attempts in a row to repair one part; then it stops until `hl-client doctor --retry`. A part that was well for ten minutes begins anew.",
        }),
        restart_delay: seconds({
          max: 86_400,
          default: 30,
          reload: "live",
          summary: "Before the next attempt where the last one did not help; the first comes at once.",
        }),
      },
    }),
  },
});
