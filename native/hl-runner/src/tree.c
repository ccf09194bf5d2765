/* See tree.h. One scan of /proc, then a walk up the parents of each process; what is born during the scan is found by the next one, which is why callers repeat until wait says ECHILD. */
#include "tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "environment.h"
#include "util.h"

struct process_list {
  struct process_stat *entries;
  size_t count, capacity;
};

static bool list_add(struct process_list *list, const struct process_stat *stat) {
  if (list->count == list->capacity) {
    const size_t capacity = list->capacity == 0 ? 256 : list->capacity * 2;
    struct process_stat *entries = realloc(list->entries, capacity * sizeof *entries);
    if (entries == NULL) return false;
    list->entries = entries;
    list->capacity = capacity;
  }
  list->entries[list->count++] = *stat;
  return true;
}

static int by_pid(const void *left, const void *right) {
  const pid_t a = ((const struct process_stat *)left)->pid, b = ((const struct process_stat *)right)->pid;
  return (a > b) - (a < b);
}

static struct process_list scan_processes(void) {
  struct process_list list = {0};
  DIR *proc = opendir("/proc");
  if (proc == NULL) return list;
  const struct dirent *entry;
  while ((entry = readdir(proc)) != NULL) {
    char *end;
    const long pid = strtol(entry->d_name, &end, 10);
    struct process_stat stat;
    if (pid <= 0 || *end != 0 || !process_stat_read((pid_t)pid, &stat)) continue;
    if (!list_add(&list, &stat)) break;
  }
  closedir(proc);
  if (list.count > 0) qsort(list.entries, list.count, sizeof *list.entries, by_pid);
  return list;
}

/* Our own child above (or at) the process, 0 when it is no descendant of ours. The count bounds the walk: a scan is no snapshot, so parents may seem to form a ring. */
static pid_t child_above(const struct process_list *list, const struct process_stat *process, pid_t self) {
  for (size_t steps = 0; process != NULL && steps <= list->count; steps++) {
    if (process->parent == self) return process->pid;
    const struct process_stat key = {.pid = process->parent};
    process = bsearch(&key, list->entries, list->count, sizeof key, by_pid);
  }
  return 0;
}

/* A pidfd of the process that was seen; -1 when it is gone, and with ENOSYS where the kernel has no pidfds. */
static int hold_process(const struct process_stat *process) {
  const int held = (int)syscall(SYS_pidfd_open, process->pid, 0);
  if (held < 0) return -1;
  /* Its number may be somebody else's by now; once held, what /proc says is said of the one that is held. */
  struct process_stat now;
  if (process_stat_read(process->pid, &now) && now.start_ticks == process->start_ticks) return held;
  close(held);
  errno = ESRCH;
  return -1;
}

/* Zombies are signalled too: one whose first thread has ended looks like a zombie while its other threads run on. */
static bool send_one(const struct process_stat *process, int signal_number, pid_t self) {
  /* Only we can reap our own child, so its pid is its own until we do. */
  if (process->parent == self) return kill(process->pid, signal_number) == 0;
  const int held = hold_process(process);
  if (held < 0) return errno == ENOSYS && kill(process->pid, signal_number) == 0;
  const bool sent = syscall(SYS_pidfd_send_signal, held, signal_number, NULL, 0) == 0;
  close(held);
  return sent;
}

static bool send_signal(const struct process_stat *process, int signal_number, pid_t self) {
  const bool sent = send_one(process, signal_number, self);
  /* A stopped process cannot obey before it goes on. */
  if (sent && signal_number == SIGTERM) send_one(process, SIGCONT, self);
  return sent;
}

static size_t signal_descendants(int signal_number, int (*spare)(pid_t child), pid_t group) {
  const pid_t self = getpid();
  struct process_list list = scan_processes();
  size_t sent = 0;
  for (size_t i = 0; i < list.count; i++) {
    const struct process_stat *process = &list.entries[i];
    if (group != 0 && process->group != group) continue;
    const pid_t child = child_above(&list, process, self);
    if (child == 0 || (spare != NULL && spare(child))) continue;
    if (send_signal(process, signal_number, self)) sent++;
  }
  free(list.entries);
  return sent;
}

size_t tree_kill_children(int (*spare)(pid_t child)) {
  char text[4096];
  const int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
  pid_t pid = 0;
  size_t killed = 0;
  ssize_t length;
  while (fd >= 0 && (length = read(fd, text, sizeof text)) > 0) {
    for (ssize_t i = 0; i < length; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
        continue;
      }
      /* Only we can reap it, so its number is its own. */
      if (pid != 0 && (spare == NULL || !spare(pid)) && kill(pid, SIGKILL) == 0) killed++;
      pid = 0;
    }
  }
  if (fd >= 0) close(fd);
  return killed;
}

size_t tree_signal(int signal_number, int (*spare)(pid_t child)) {
  return signal_descendants(signal_number, spare, 0);
}

size_t tree_signal_group(int signal_number, pid_t group) {
  return signal_descendants(signal_number, NULL, group);
}

/* True for a marked process and for what is below one: a program may have started something with an environment of its own making. */
static bool below_marked(const struct process_list *list, const bool *marked, const struct process_stat *process) {
  for (size_t steps = 0; process != NULL && steps <= list->count; steps++) {
    if (marked[process - list->entries]) return true;
    const struct process_stat key = {.pid = process->parent};
    process = bsearch(&key, list->entries, list->count, sizeof key, by_pid);
  }
  return false;
}

static void kill_and_hold(const struct process_stat *process, struct tree_held *held) {
  const int fd = hold_process(process);
  if (fd < 0 && errno == ENOSYS) kill(process->pid, SIGKILL);
  if (fd < 0) return;
  if (syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0 && held->count < TREE_HELD_MAX) held->pidfds[held->count++] = fd;
  else close(fd);
}

size_t tree_kill_marked(const char *entry, struct tree_held *held) {
  const pid_t self = getpid(), parent = getppid();
  struct process_list list = scan_processes();
  bool *marked = calloc(list.count + 1, sizeof *marked);
  size_t found = 0;
  held->count = 0;
  for (size_t i = 0; marked != NULL && i < list.count; i++) {
    const pid_t pid = list.entries[i].pid;
    marked[i] = pid != self && pid != parent && environment_holds(pid, entry);
  }
  for (size_t i = 0; marked != NULL && i < list.count; i++) {
    const struct process_stat *process = &list.entries[i];
    if (process->pid == self || process->pid == parent || process->zombie || !below_marked(&list, marked, process)) continue;
    found++;
    kill_and_hold(process, held);
  }
  free(marked);
  free(list.entries);
  return found;
}
