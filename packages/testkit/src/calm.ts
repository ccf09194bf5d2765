/** `health_monitoring.alerts` for tests: nothing that the machine is busy with beside the test is an alert. Whose disk is full is left to each. */
export const calm = {
  cpu_threshold: 100,
  memory_threshold: 100,
  load_threshold: 10_000,
  loop_delay_threshold_ms: 60_000,
};
