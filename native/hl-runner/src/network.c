/* See network.h. */
#include "network.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "util.h"

/* What waits while the shim has all connections that it takes. */
#define BACKLOG 128

struct report {
  const char *what;
  int error;
};

void network_make_maps(struct network_maps *maps) {
  snprintf(maps->uid, sizeof maps->uid, "%u %u 1", geteuid(), geteuid());
  snprintf(maps->gid, sizeof maps->gid, "%u %u 1", getegid(), getegid());
}

static bool write_map(const char *path, const char *text) {
  const int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write_all(fd, text, strlen(text));
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

/* In a new namespace it is down, and then not even 127.0.0.1 can be reached. */
static bool raise_loopback(void) {
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) return false;
  struct ifreq interface = {.ifr_name = "lo"};
  bool raised = ioctl(fd, SIOCGIFFLAGS, &interface) == 0;
  interface.ifr_flags |= IFF_UP;
  raised = raised && ioctl(fd, SIOCSIFFLAGS, &interface) == 0;
  const int error = errno;
  close(fd);
  errno = error;
  return raised;
}

const char *network_enter(const struct network_maps *maps) {
  if (unshare(CLONE_NEWNET) != 0) {
    if (errno != EPERM) return "a network namespace";
    if (unshare(CLONE_NEWUSER | CLONE_NEWNET) != 0) return "a network namespace";
    /* The kernel wants to know that nobody gets rid of a group by this before it lets an ordinary user map his own. */
    if (!write_map("/proc/self/setgroups", "deny") || !write_map("/proc/self/gid_map", maps->gid)) return "the group of a user namespace";
    if (!write_map("/proc/self/uid_map", maps->uid)) return "the user of a user namespace";
  }
  return raise_loopback() ? NULL : "the loopback of a network namespace";
}

const char *network_hand_over_listener(int to) {
  static const char what[] = "the proxy's port in a network namespace";
  const struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(NETWORK_PROXY_PORT), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (listener < 0 || bind(listener, (const struct sockaddr *)&address, sizeof address) != 0 || listen(listener, BACKLOG) != 0) return what;
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof listener)] = {0};
  char byte = 0;
  struct iovec bytes = {.iov_base = &byte, .iov_len = sizeof byte};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  head->cmsg_level = SOL_SOCKET;
  head->cmsg_type = SCM_RIGHTS;
  head->cmsg_len = CMSG_LEN(sizeof listener);
  memcpy(CMSG_DATA(head), &listener, sizeof listener);
  if (sendmsg(to, &message, MSG_NOSIGNAL) != 1) return what;
  close(listener);
  return NULL;
}

int network_take_listener(int from) {
  _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(int))];
  char byte;
  struct iovec bytes = {.iov_base = &byte, .iov_len = sizeof byte};
  struct msghdr message = {.msg_iov = &bytes, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof control};
  if (recvmsg(from, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC) != 1) return -1;
  const struct cmsghdr *head = CMSG_FIRSTHDR(&message);
  if (head == NULL || head->cmsg_type != SCM_RIGHTS || head->cmsg_len != CMSG_LEN(sizeof(int))) return -1;
  int listener;
  memcpy(&listener, CMSG_DATA(head), sizeof listener);
  return listener;
}

const char *network_hint(int error) {
  switch (error) {
    case EPERM:
    case EACCES: return "user namespaces are disabled (user.max_user_namespaces or the kernel's or an LSM's policy)";
    case ENOSPC:
    case EUSERS: return "there may be no more of them (user.max_user_namespaces, user.max_net_namespaces)";
    case EINVAL:
    case ENOSYS: return "the kernel was built without network or user namespaces";
    default: return NULL;
  }
}

void network_probe(char problem[NETWORK_PROBLEM_BYTES]) {
  struct network_maps maps;
  struct report report = {.what = "a process for a network namespace"};
  int ends[2];
  network_make_maps(&maps);
  problem[0] = 0;
  if (pipe2(ends, O_CLOEXEC) != 0) {
    snprintf(problem, NETWORK_PROBLEM_BYTES, "%s: %s", report.what, strerror(errno));
    return;
  }
  const pid_t pid = fork();
  if (pid == 0) {
    report.what = network_enter(&maps);
    report.error = errno;
    /* Texts lie where they lie in the parent. */
    _exit(write_all(ends[1], &report, sizeof report) ? 0 : 1);
  }
  report.error = errno;
  close(ends[1]);
  if (pid > 0) {
    if (read(ends[0], &report, sizeof report) != (ssize_t)sizeof report) report.error = EIO;
    waitpid(pid, NULL, 0);
  }
  close(ends[0]);
  if (report.what == NULL) return;
  const char *hint = network_hint(report.error);
  snprintf(problem, NETWORK_PROBLEM_BYTES, "%s: %s%s%s", report.what, strerror(report.error), hint == NULL ? "" : "; ", hint == NULL ? "" : hint);
}
