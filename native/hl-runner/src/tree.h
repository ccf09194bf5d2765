/* The process tree below this process, as /proc shows it (P1). Both the shim and the resident are subreapers, so whatever is daemonised stays below them. */
#ifndef HL_TREE_H
#define HL_TREE_H

#include <stddef.h>
#include <sys/types.h>

/* Sends the signal to every descendant of this process except those at or below a child that `spare` (may be NULL) says yes to. Returns how many were signalled. SIGTERM is followed by SIGCONT. */
size_t tree_signal(int signal_number, int (*spare)(pid_t child));

/* The same for the descendants in one process group. */
size_t tree_signal_group(int signal_number, pid_t group);

#endif
