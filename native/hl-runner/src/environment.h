/* What the environment of another process holds, as /proc shows it: the mark by which a run's processes are known (HL_RUN_ID). */
#ifndef HL_ENVIRONMENT_H
#define HL_ENVIRONMENT_H

#include <stdbool.h>
#include <sys/types.h>

/* True when one whole entry of the process's environment is `entry` (NAME=value, at most 127 bytes). False for a process that is gone, or that does not show its environment. */
bool environment_holds(pid_t pid, const char *entry);

#endif
