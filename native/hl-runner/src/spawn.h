/* Starts the program: the only place that forks for it. */
#ifndef HL_SPAWN_H
#define HL_SPAWN_H

#include <stdbool.h>
#include <sys/types.h>

#include "request.h"

struct spawn_plan {
  const struct start_request *request;
  int stdio[3];
  int ruleset; /* -1: no sandbox */
};

struct spawn_failure {
  const char *stage; /* as FAILED names it */
  int error;
};

/* The program's pid once it has been executed; -1 with the failure filled in when nothing runs. */
pid_t spawn_program(const struct spawn_plan *plan, struct spawn_failure *failure);

#endif
