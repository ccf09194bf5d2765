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
          reload: "restart",
          summary: "Share of requests that failed, 0 to 1.",
        }),
      },
    }),
    self_healing: section({
      summary: "Repair without a human.",
      keys: {
        enabled: flag({ default: true, reload: "restart", summary: "Whether anything is repaired." }),
        restart_on_failure: flag({ default: true, reload: "restart", summary: "Restart a part that failed." }),
        max_restart_attempts: count({
          max: 1000,
          default: 3,
          unit: "attempts",
          reload: "restart",
          summary: "Restarts in a row of one part.",
        }),
        restart_delay: seconds({ max: 86_400, default: 30, reload: "restart", summary: "Before a restart." }),
      },
    }),
  },
});
