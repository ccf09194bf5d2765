/* See probe.h. */
#include "probe.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "network.h"
#include "protocol.h"
#include "sandbox.h"
#include "seccomp.h"
#include "shim.h"
#include "util.h"

static const char *yes(bool it_is) {
  return it_is ? "true" : "false";
}

static const char *enforced(bool by_cgroup, const char *otherwise) {
  return by_cgroup ? "cgroup" : otherwise;
}

static bool can_watch(void) {
  return access("/proc/thread-self/children", R_OK) == 0;
}

size_t probe_json(const struct cgroup_base *cgroup, char *json, size_t capacity) {
  struct utsname kernel;
  char text[64], limits[128] = "", network_problem[NETWORK_PROBLEM_BYTES];
  const bool named = uname(&kernel) == 0;
  const bool no_new_privs = prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0) >= 0;
  int reaper;
  const bool subreaper = prctl(PR_GET_CHILD_SUBREAPER, &reaper, 0, 0, 0) == 0;
  const int pidfd = (int)syscall(SYS_pidfd_open, getpid(), 0);
  if (pidfd >= 0) close(pidfd);
  const bool proc = read_small_file(AT_FDCWD, "/proc/self/stat", text, sizeof text) > 0;
  int terminal[2];
  const bool pty = terminal_open(TERMINAL_ROWS_DEFAULT, TERMINAL_COLUMNS_DEFAULT, terminal);
  for (int end = 0; pty && end < 2; end++) close(terminal[end]);
  const int abi = sandbox_abi();
  network_probe(network_problem);
  if (cgroup != NULL)
    snprintf(limits, sizeof limits, "\"limits\":{\"memory\":\"%s\",\"cpu\":\"%s\",\"processes\":\"%s\"},", enforced(cgroup->memory, can_watch() ? "watch" : "none"),
             enforced(cgroup->cpu, "none"), enforced(cgroup->processes, "none"));
  const int length = snprintf(json, capacity,
                              "{\"version\":\"" RUNNER_VERSION "\",\"landlock_abi\":%d,\"landlock_truncate\":%s,\"landlock_scoped\":%s,\"no_new_privs\":%s,\"subreaper\":%s,"
                              "\"pidfd\":%s,\"proc\":%s,\"pty\":%s,\"seccomp\":%s,\"capabilities_dropped\":true,\"network_namespaces\":%s,\"network_problem\":\"%s\",\"cgroup\":%s,%s\"kernel\":\"%s\",\"machine\":\"%s\"}",
                              abi, yes(abi >= 3), yes(abi >= 6), yes(no_new_privs), yes(subreaper), yes(pidfd >= 0), yes(proc), yes(pty), yes(seccomp_is_offered()),
                              yes(network_problem[0] == 0), network_problem, yes(cgroup != NULL && cgroup->fd >= 0), limits,
                              named ? kernel.release : "", named ? kernel.machine : "");
  return length > 0 && (size_t)length < capacity ? (size_t)length : 0;
}
