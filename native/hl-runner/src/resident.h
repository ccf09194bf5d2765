/* `hl-runner serve`: accepts connections and forks a shim for each; parses nothing. */
#ifndef HL_RESIDENT_H
#define HL_RESIDENT_H

#include <stddef.h>

#include "shim.h"

struct resident_options {
  const char *socket_path;
  const char *state_path;
  int exit_fd; /* its EOF ends the resident; -1: none */
  size_t shims_max;
  const char *cgroup; /* auto, off or a path */
  struct allowed_uids allowed;
};

/* Returns the exit code of the program. */
int resident_run(const struct resident_options *options);

#endif
