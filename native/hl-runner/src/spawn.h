/* Starts the program: the only place that forks for it. */
#ifndef HL_SPAWN_H
#define HL_SPAWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "network.h"
#include "request.h"
#include "seccomp.h"

struct spawn_plan {
  const struct start_request *request;
  int stdio[3];
  int ruleset; /* -1: no sandbox */
  const struct seccomp_filter *filter;
  const struct network_maps *maps;
  int listener_socket; /* where the listener at the proxy's port goes; -1: none is wanted */
  bool terminal; /* stdio[0] becomes the controlling terminal */
  pid_t shim_pid;
  int group; /* folder of the control group to start in; -1: none */
  bool group_required; /* nothing is started outside of it */
  int go_connection;              /* the program is not executed before GO has come from here; -1: at once */
  const unsigned char *go_begun; /* what has been read of that frame already */
  size_t go_begun_length;
};

struct spawn_result {
  uint64_t wall_ms;     /* of the moment before the program was executed */
  int64_t monotonic_us; /* of the same */
  bool in_group;
};

struct spawn_failure {
  const char *stage; /* as FAILED names it; NULL when the connection ended before GO */
  int error;
  const char *what, *hint; /* more closely; NULL: there is nothing to add */
};

/* The program's pid once it has been executed; -1 with the failure filled in when nothing runs. */
pid_t spawn_program(const struct spawn_plan *plan, struct spawn_result *result, struct spawn_failure *failure);

#endif
