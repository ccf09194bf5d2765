/* The run's control group: made ahead of time, entered by the program in its clone, asked for usage, killed as a whole, removed when it is empty (P1). */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

#define CPU_PERIOD_US 100000

void group_make(struct shim *shim) {
  struct group *group = &shim->group;
  *group = (struct group){.directory = -1, .events = -1};
  if (shim->cgroup->fd < 0) return;
  /* Groups cannot be renamed, so it has the shim's name, which nobody ever has again. */
  snprintf(group->name, sizeof group->name, "run-%d-%llu", (int)shim->shim_pid, (unsigned long long)shim->shim_start_ticks);
  if (mkdirat(shim->cgroup->fd, group->name, 0755) != 0) return;
  group->directory = openat(shim->cgroup->fd, group->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  group->events = openat(group->directory, "cgroup.events", O_RDONLY | O_CLOEXEC);
  if (group->events < 0) group_remove(shim);
}

static bool set(const struct group *group, const char *file, uint64_t number) {
  char text[32];
  snprintf(text, sizeof text, "%llu", (unsigned long long)number);
  return cgroup_write(group->directory, file, text);
}

static bool limit_memory(const struct group *group, uint64_t bytes) {
  /* Where swap is not counted there is no such file; with it, memory.max alone would only move the memory there. */
  if (!cgroup_write(group->directory, "memory.swap.max", "0") && errno != ENOENT) return false;
  /* Half a tree is no result: whoever is over the limit goes as a whole. */
  return cgroup_write(group->directory, "memory.oom.group", "1") && set(group, "memory.max", bytes);
}

static bool limit_cpu(const struct group *group, uint64_t percent) {
  char text[64];
  snprintf(text, sizeof text, "%llu %d", (unsigned long long)(percent * (CPU_PERIOD_US / 100)), CPU_PERIOD_US);
  return cgroup_write(group->directory, "cpu.max", text);
}

const char *group_limit(struct shim *shim) {
  const struct start_request *request = &shim->request;
  struct group *group = &shim->group;
  const struct cgroup_base *base = shim->cgroup;
  const bool memory = base->memory && request->memory_bytes_max != 0, cpu = base->cpu && request->cpu_percent_max != 0;
  const bool processes = base->processes && request->processes_max != 0;
  group->required = memory || cpu || processes;
  errno = ENOENT;
  if (group->required && group->directory < 0) return "the run's control group cannot be made";
  if (memory && !limit_memory(group, request->memory_bytes_max)) return "memory_bytes_max cannot be set";
  if (cpu && !limit_cpu(group, request->cpu_percent_max)) return "cpu_percent_max cannot be set";
  if (processes && !set(group, "pids.max", request->processes_max)) return "processes_max cannot be set";
  return NULL;
}

bool group_populated(struct shim *shim) {
  struct group *group = &shim->group;
  if (!group->entered || !cgroup_populated(group->events)) return false;
  /* No child of ours is left and yet somebody lives there: the kernel tells when that changes. */
  if (!group->watched) shim_watch(shim, EPOLL_CTL_ADD, group->events, EPOLLPRI, SOURCE_GROUP);
  group->watched = true;
  return true;
}

void group_kill(struct shim *shim) {
  if (shim->group.entered) cgroup_kill(shim->group.directory);
}

uint64_t group_oom_kills(const struct shim *shim) {
  uint64_t kills = 0;
  if (shim->group.entered && shim->cgroup->memory) cgroup_read(shim->group.directory, "memory.events", "oom_kill", &kills);
  return kills;
}

void group_usage(const struct shim *shim, struct end_facts *end) {
  const struct group *group = &shim->group;
  uint64_t bytes;
  if (!group->entered || !cgroup_read(group->directory, "cpu.stat", "usage_usec", &end->cpu_us)) return;
  end->usage_source = "cgroup";
  if (shim->cgroup->memory && cgroup_read(group->directory, "memory.peak", "", &bytes)) end->memory_peak_kb = bytes / 1024;
  end->oom_kills = group_oom_kills(shim);
}

size_t group_path(const struct shim *shim, char *path, size_t capacity) {
  if (!shim->group.entered) return 0;
  const int length = snprintf(path, capacity, "%s/%s", shim->cgroup->path, shim->group.name);
  return length > 0 && (size_t)length < capacity ? (size_t)length : 0;
}

void group_remove(struct shim *shim) {
  struct group *group = &shim->group;
  if (group->directory < 0) return;
  close(group->directory);
  if (group->events >= 0) close(group->events);
  group->directory = group->events = -1;
  group->entered = false;
  (void)cgroup_remove(shim->cgroup->fd, group->name);
}
