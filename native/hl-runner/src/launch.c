/* Node has no unix datagram socket, and systemd hears only the main process: so this connects the socket and then becomes the program. */
#include "launch.h"

#include <errno.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sysexits.h>
#include <unistd.h>

#include "util.h"

/* A descriptor that stays open over exec, or -1 with errno. */
static int connect_to(const char *path) {
  struct sockaddr_un address = {.sun_family = AF_UNIX};
  const size_t length = strlen(path);
  if ((path[0] != '/' && path[0] != '@') || length < 2) {
    errno = EINVAL;
    return -1;
  }
  if (length >= sizeof address.sun_path) {
    errno = ENAMETOOLONG;
    return -1;
  }
  memcpy(address.sun_path, path, length);
  const int abstract = path[0] == '@';
  if (abstract) address.sun_path[0] = 0;
  const socklen_t size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (abstract ? 0 : 1));
  /* No SOCK_CLOEXEC: the next program is who needs it, and Node marks what it inherits before it starts anything. */
  const int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
  if (fd < 0) return -1;
  if (connect(fd, (const struct sockaddr *)&address, size) == 0) return fd;
  const int error = errno;
  close(fd);
  errno = error;
  return -1;
}

int launch(char **argv) {
  const char *path = getenv("NOTIFY_SOCKET");
  unsetenv("HL_NOTIFY_FD");
  if (path != NULL && path[0] != 0) {
    const int fd = connect_to(path);
    char number[16];
    if (fd < 0) {
      complain("NOTIFY_SOCKET cannot be reached:", path, errno);
      return EX_UNAVAILABLE;
    }
    (void)snprintf(number, sizeof number, "%d", fd);
    if (setenv("HL_NOTIFY_FD", number, 1) != 0) return EX_OSERR;
  }
  unsetenv("NOTIFY_SOCKET");
  execv(argv[0], argv);
  const int error = errno;
  complain("cannot be executed:", argv[0], error);
  return error == ENOENT ? EX_NOINPUT : EX_OSERR;
}
