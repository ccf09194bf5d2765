/* Signals, STOP and the timeouts. A stop is SIGTERM to the whole tree (in a terminal SIGHUP before it), then SIGKILL in rounds until nobody is left (P1); it never blocks the event loop. */
#include <signal.h>
#include <sys/types.h>

#include "shim.h"
#include "tree.h"
#include "util.h"

#define KILL_WAIT_FIRST_US 5000
#define KILL_WAIT_MAX_US 250000

void stop_kill_round(struct shim *shim) {
  shim->killing = true;
  shim->deadlines[DEADLINE_GRACE] = NEVER;
  group_kill(shim);
  tree_signal(SIGKILL, NULL);
  shim_reap(shim);
  /* The next round finds what was born during this one; the waits grow for a process that the kernel cannot end yet. */
  shim->deadlines[DEADLINE_KILL] = monotonic_us() + shim->kill_wait_us;
  shim->kill_wait_us *= 2;
  if (shim->kill_wait_us > KILL_WAIT_MAX_US) shim->kill_wait_us = KILL_WAIT_MAX_US;
}

void stop_begin(struct shim *shim, const char *reason, uint64_t grace_ms) {
  if (shim->empty || shim->killing) return;
  if (!shim->main_ended && shim->stop_reason == NULL) shim->stop_reason = reason;
  if (!shim->stopping) {
    shim->stopping = true;
    shim->kill_wait_us = KILL_WAIT_FIRST_US;
    /* Interactive shells ignore SIGTERM and take the loss of their terminal as the end: what sshd's hang-up does, and systemd for sessions. It
     * comes first: bash forgets a hang-up that it gets on its way from a job that has ended back to its prompt. */
    if (grace_ms > 0 && shim->terminal >= 0) tree_signal(SIGHUP, NULL);
    if (grace_ms > 0) tree_signal(SIGTERM, NULL);
  }
  const int64_t deadline = monotonic_us() + (int64_t)(grace_ms < WAIT_MS_MAX ? grace_ms : WAIT_MS_MAX) * 1000;
  /* A second stop may be more urgent than the first, never less. */
  if (deadline < shim->deadlines[DEADLINE_GRACE]) shim->deadlines[DEADLINE_GRACE] = deadline;
  if (grace_ms == 0) stop_kill_round(shim);
}

void stop_check_timeouts(struct shim *shim, int64_t now) {
  if (now >= shim->deadlines[DEADLINE_TIMEOUT]) {
    shim->deadlines[DEADLINE_TIMEOUT] = NEVER;
    stop_begin(shim, "timeout", shim->grace_ms);
  }
  if (now >= shim->deadlines[DEADLINE_IDLE]) {
    const int64_t idle_at = shim->active_us + (int64_t)shim->idle_timeout_ms * 1000;
    if (now < idle_at) {
      shim->deadlines[DEADLINE_IDLE] = idle_at;
      return;
    }
    shim->deadlines[DEADLINE_IDLE] = NEVER;
    stop_begin(shim, "idle_timeout", shim->grace_ms);
  }
}

void stop_signal(struct shim *shim, int signal_number, uint64_t scope) {
  if (scope == SCOPE_TREE) {
    tree_signal(signal_number, NULL);
  } else if (scope == SCOPE_GROUP) {
    /* Once the main process is reaped its number may lead somebody else's group; then only our own descendants are asked. */
    if (!shim->main_ended) kill(-shim->pid, signal_number);
    else tree_signal_group(signal_number, shim->pid);
  } else if (!shim->main_ended) {
    kill(shim->pid, signal_number);
  }
}
