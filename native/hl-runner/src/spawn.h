/* Starts the program: the only place that forks for it. */
#ifndef HL_SPAWN_H
#define HL_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "request.h"

struct spawn_plan {
  const struct start_request *request;
  int stdio[3];
  int ruleset;   /* -1: no sandbox */
  bool terminal; /* stdio[0] becomes the controlling terminal */
  pid_t shim_pid;
  int go_connection;              /* the program is not executed before GO has come from here; -1: at once */
  const unsigned char *go_begun; /* what has been read of that frame already */
  size_t go_begun_length;
};

/* Of the moment before the program was executed. */
struct spawn_time {
  uint64_t wall_ms;
  int64_t monotonic_us;
};

struct spawn_failure {
  const char *stage; /* as FAILED names it; NULL when the connection ended before GO */
  int error;
};

/* The program's pid once it has been executed; -1 with the failure filled in when nothing runs. */
pid_t spawn_program(const struct spawn_plan *plan, struct spawn_time *time, struct spawn_failure *failure);

#endif
