/* What a shim leaves where a later daemon finds it: identity, end record, attach.sock (P3). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

/* Whole or not at all: a reader never sees half a file, and with `durable` neither does a power cut. */
static bool write_file(int directory, const char *temporary, const char *name, const unsigned char *bytes, size_t length, bool durable) {
  const int fd = openat(directory, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0640);
  if (fd < 0) return false;
  const bool written = write_all(fd, bytes, length) && (!durable || fsync(fd) == 0);
  close(fd);
  if (written && renameat(directory, temporary, directory, name) == 0) {
    if (durable) (void)fsync(directory);
    return true;
  }
  unlinkat(directory, temporary, 0);
  return false;
}

static void write_identity(struct shim *shim) {
  char boot_id[64] = "";
  unsigned char bytes[256 + CGROUP_PATH_MAX];
  const ssize_t length = read_small_file(AT_FDCWD, "/proc/sys/kernel/random/boot_id", boot_id, sizeof boot_id);
  if (length > 0 && boot_id[length - 1] == '\n') boot_id[length - 1] = 0;
  const size_t encoded = wire_encode_started(shim, bytes, sizeof bytes, boot_id);
  write_file(shim->directory, "identity.tmp", "identity", bytes, encoded, false);
}

static void listen_for_attach(struct shim *shim) {
  /* By way of the folder's descriptor, because a socket's own path may have 107 bytes only. */
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/attach.sock", shim->directory);
  const int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0) return;
  const mode_t before = umask(0117);
  const bool listening = bind(listener, (const struct sockaddr *)&address, sizeof address) == 0 && listen(listener, 8) == 0;
  umask(before);
  if (!listening) {
    close(listener);
    return;
  }
  shim->listener = listener;
  shim_watch(shim, EPOLL_CTL_ADD, listener, EPOLLIN, SOURCE_LISTENER);
}

void files_publish(struct shim *shim) {
  shim->deadlines[DEADLINE_PUBLISH] = NEVER;
  if (shim->published || (shim->empty && shim->end_known)) return;
  shim->published = true;
  listen_for_attach(shim);
  /* Last, because it is what tells a daemon that the socket is there. */
  write_identity(shim);
}

void files_record_end(struct shim *shim, bool durable) {
  unsigned char bytes[512];
  shim->deadlines[DEADLINE_RECORD] = NEVER;
  if (shim->recorded) return;
  shim->recorded = true;
  const size_t length = wire_encode_end(shim, bytes, sizeof bytes);
  write_file(shim->directory, "end.tmp", "end", bytes, length, durable);
}

void files_accept(struct shim *shim) {
  const int connection = accept4(shim->listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
  if (connection < 0) return;
  /* A resident that is gone is no longer our parent, and its number may be anybody's. */
  const pid_t resident = getppid() == shim->resident ? shim->resident : 0;
  if (!peer_is_allowed(connection, shim->allowed) || peer_is_command(connection, shim->state_directory, resident)) {
    close(connection);
    return;
  }
  wire_attach(shim, connection);
}

void files_withdraw(struct shim *shim) {
  if (shim->listener >= 0) unlinkat(shim->directory, "attach.sock", 0);
}

void files_remove(struct shim *shim) {
  files_withdraw(shim);
  if (shim->published) unlinkat(shim->directory, "identity", 0);
  if (shim->recorded) unlinkat(shim->directory, "end", 0);
  start_remove_directory(shim);
}
