/* The process tree below this process, as /proc shows it (P1). Both the shim and the resident are subreapers, so whatever is daemonised stays below them. */
#ifndef HL_TREE_H
#define HL_TREE_H

#include <stddef.h>
#include <sys/types.h>

/* Sends the signal to every descendant of this process except those at or below a child that `spare` (may be NULL) says yes to. Returns how many were signalled. SIGTERM is followed by SIGCONT. */
size_t tree_signal(int signal_number, int (*spare)(pid_t child));

/* The same for the descendants in one process group. */
size_t tree_signal_group(int signal_number, pid_t group);

#define TREE_HELD_MAX 256

/* Descriptors of processes that were killed: each becomes readable when its process has gone. Whoever got them closes them. */
struct tree_held {
  int pidfds[TREE_HELD_MAX];
  size_t count;
};

/* Sends SIGKILL to every process, of whatever parent, whose environment holds `entry` (NAME=value, whole) and to every process below one; never to this
 * process and its parent. Returns how many were found, of which up to TREE_HELD_MAX are held; a zombie is found as long as one of its threads runs. */
size_t tree_kill_marked(const char *entry, struct tree_held *held);

/* SIGKILL to our own children only, except those that are spared; how many there were, ended ones included. Of what forks and exits without end a scan
 * of /proc finds only numbers that are nobody's any more, but its last one is always our child (we are the subreaper), and this is quick enough. */
size_t tree_kill_children(int (*spare)(pid_t child));

#endif
