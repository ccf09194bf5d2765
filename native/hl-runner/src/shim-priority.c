/*
 * A command that floods its output yields to the daemon. Where sessions are scheduling groups of their own (autogroup: no control group for
 * the processor), every command and every shim weighs as much as the daemon: 32 floods would leave it a thirtieth of the machine, just when it
 * has most to do, and its answers would wait for all of them (P5). Below systemd the units' groups do this, and it has no effect.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

/* So much within so long is a flood. */
#define FLOOD_BYTES (4 * 1024 * 1024)
#define FLOOD_US 1000000
/* A ninth of the ordinary weight. */
#define NICE "10"
/* Without privileges the kernel takes one change in 100 ms from all processes together. */
#define RETRY_US 250000

static bool lower(pid_t pid) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%ld/autogroup", (long)pid);
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return true; /* There is no such thing here, or no such process any more. */
  const bool later = write(fd, NICE, sizeof NICE - 1) < 0 && errno == EAGAIN;
  close(fd);
  return !later;
}

void priority_watch(struct shim *shim) {
  const uint64_t position = log_position(&shim->log);
  if (shim->shim_yields || position - shim->flood_from < FLOOD_BYTES) return;
  const int64_t now = monotonic_us();
  if (now - shim->flood_began_us < FLOOD_US && shim->deadlines[DEADLINE_PRIORITY] == NEVER) shim->deadlines[DEADLINE_PRIORITY] = now;
  shim->flood_began_us = now;
  shim->flood_from = position;
}

void priority_forget(struct shim *shim) {
  shim->flood_began_us = monotonic_us();
  shim->flood_from = log_position(&shim->log);
}

void priority_lower(struct shim *shim) {
  shim->deadlines[DEADLINE_PRIORITY] = NEVER;
  if (!shim->program_yields) shim->program_yields = shim->main_ended || lower(shim->pid);
  if (shim->program_yields && !shim->shim_yields) shim->shim_yields = lower(shim->shim_pid);
  if (!shim->shim_yields && !shim->empty) shim->deadlines[DEADLINE_PRIORITY] = monotonic_us() + RETRY_US;
}
