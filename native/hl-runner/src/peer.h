/* Who may speak with a resident or a shim. */
#ifndef HL_PEER_H
#define HL_PEER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#define ALLOWED_UIDS_MAX 16

/* Whom a socket of ours lets in besides its own user and root. */
struct allowed_uids {
  uid_t uids[ALLOWED_UIDS_MAX];
  size_t count;
};

bool peer_is_allowed(int connection, const struct allowed_uids *allowed);

/* True for what a shim of this state folder has started, and for what can no longer be asked about: a command has its runner's user, and Landlock
 * keeps nobody from connecting to a socket, so one that may do little would only have to ask its runner for another that may do more (X1).
 * Every shim has a name and the state folder as its working directory, by which it is known to others. */
bool peer_is_command(int connection, int state_directory, pid_t resident);

#define SHIM_NAME "hl-runner: shim"

#endif
