/* See peer.h. */
#include "peer.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "util.h"

/* More than any process has above it; bounds a walk through parents that change meanwhile. */
#define ANCESTORS_MAX 4096

bool peer_is_allowed(int connection, const struct allowed_uids *allowed) {
  struct ucred peer;
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  if (peer.uid == 0 || peer.uid == geteuid()) return true;
  for (size_t i = 0; i < allowed->count; i++)
    if (peer.uid == allowed->uids[i]) return true;
  return false;
}

static bool is_shim_of(pid_t pid, const struct stat *state) {
  char path[40], name[32];
  struct stat folder;
  snprintf(path, sizeof path, "/proc/%d/cwd", (int)pid);
  if (stat(path, &folder) != 0 || folder.st_dev != state->st_dev || folder.st_ino != state->st_ino) return false;
  snprintf(path, sizeof path, "/proc/%d/comm", (int)pid);
  return read_small_file(AT_FDCWD, path, name, sizeof name) > 0 && strcmp(name, SHIM_NAME "\n") == 0;
}

bool peer_is_command(int connection, int state_directory, pid_t resident) {
  struct ucred peer;
  struct stat state;
  socklen_t size = sizeof peer;
  if (getsockopt(connection, SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0 || fstat(state_directory, &state) != 0) return true;
  /* Another user is no command of ours; number 0 is a process of another pid namespace, above ours, where no command gets. */
  if (peer.uid != geteuid() || peer.pid == 0) return false;
  struct process_stat process = {.parent = peer.pid};
  for (int i = 0; i < ANCESTORS_MAX && process.parent > 1; i++) {
    if (i > 0 && (process.parent == resident || is_shim_of(process.parent, &state))) return true;
    /* One that ends while it is asked about had reasons to, or will not miss the answer. */
    if (!process_stat_read(process.parent, &process)) return true;
  }
  return false;
}
