/* The memory of a run's tree where no control group bounds it: looked at often while the tree works or grows, rarely while it sleeps. */
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "shim.h"
#include "util.h"

#define PACE_FIRST_US 100000
#define PACE_MAX_US 5000000
#define TEXT_BYTES 4096
/* A minute at the slowest pace. */
#define TRUSTED_LOOKS 12

/* Processes that are still to be looked at. */
struct pids {
  pid_t *entries;
  size_t count, capacity;
};

/* What one look has found. */
struct finding {
  uint64_t cpu_ticks, rss_pages, memory_kb;
};

static void push(struct pids *pids, pid_t pid) {
  if (pids->count == pids->capacity) {
    const size_t capacity = pids->capacity == 0 ? 64 : pids->capacity * 2;
    pid_t *entries = realloc(pids->entries, capacity * sizeof *entries);
    if (entries == NULL) return;
    pids->entries = entries;
    pids->capacity = capacity;
  }
  pids->entries[pids->count++] = pid;
}

/* A list of pids may be longer than what one read brings, and a number may be cut in two. */
static void push_listed(struct pids *pids, int fd) {
  char text[TEXT_BYTES];
  pid_t pid = 0;
  off_t at = 0;
  ssize_t length;
  while ((length = pread(fd, text, sizeof text, at)) > 0) {
    at += length;
    const bool last = length < (ssize_t)sizeof text;
    for (ssize_t i = 0; i < length; i++) {
      if (text[i] >= '0' && text[i] <= '9') {
        pid = pid * 10 + (text[i] - '0');
      } else if (pid != 0) {
        push(pids, pid);
        pid = 0;
      }
    }
    if (last) return;
  }
}

static void push_children_of_task(struct pids *pids, pid_t pid, const char *task) {
  char path[80];
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/children", (int)pid, task);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return;
  push_listed(pids, fd);
  close(fd);
}

static void push_children(struct pids *pids, const struct process_stat *process) {
  char path[40], self[16];
  snprintf(self, sizeof self, "%d", (int)process->pid);
  if (process->threads <= 1) {
    push_children_of_task(pids, process->pid, self);
    return;
  }
  snprintf(path, sizeof path, "/proc/%d/task", (int)process->pid);
  DIR *tasks = opendir(path);
  const struct dirent *task;
  while (tasks != NULL && (task = readdir(tasks)) != NULL)
    if (task->d_name[0] != '.') push_children_of_task(pids, process->pid, task->d_name);
  if (tasks != NULL) closedir(tasks);
}

static uint64_t sum_of_lines(pid_t pid, const char *file, const char *const keys[3]) {
  char path[40], text[TEXT_BYTES];
  uint64_t sum = 0;
  snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, file);
  if (read_small_file(AT_FDCWD, path, text, sizeof text) <= 0) return 0;
  for (size_t i = 0; i < 3; i++) {
    const char *line = strstr(text, keys[i]);
    if (line != NULL) sum += strtoull(line + strlen(keys[i]), NULL, 10);
  }
  return sum;
}

/* What nobody but the kernel's swap can take from the process: files it has mapped can be dropped and are not its memory. `exactly`: pages that several
 * processes share since a fork are counted once, at the price of a walk through all of them. */
static uint64_t memory_kb(pid_t pid, bool exactly) {
  static const char *const plain[3] = {"RssAnon:", "RssShmem:", "VmSwap:"}, *const shared[3] = {"Pss_Anon:", "Pss_Shmem:", "SwapPss:"};
  return exactly ? sum_of_lines(pid, "smaps_rollup", shared) : sum_of_lines(pid, "status", plain);
}

enum depth { GLANCE, SUM, EXACT_SUM };

static void forget_threads(struct memory_watch *watch) {
  while (watch->thread_count > 0) close(watch->threads[--watch->thread_count]);
}

/* True when all of them can be asked. */
static bool threads_have_run(const struct memory_watch *watch, uint64_t *sum) {
  *sum = 0;
  for (size_t i = 0; i < watch->thread_count; i++) {
    char text[96];
    const ssize_t length = pread(watch->threads[i], text, sizeof text - 1, 0);
    if (length <= 0) return false;
    text[length] = 0;
    const uint64_t run_ns = strtoull(text, NULL, 10);
    /* Kernels that do not count say 0. */
    if (run_ns == 0) return false;
    *sum += run_ns;
  }
  return true;
}

static bool remember_thread(struct memory_watch *watch, pid_t pid, const char *task) {
  char path[80];
  if (watch->thread_count == WATCHED_THREADS_MAX) return false;
  snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", (int)pid, task);
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  watch->threads[watch->thread_count++] = fd;
  return true;
}

/* As long as none of them has run, nothing has changed: no memory, no thread, no process. One small read each, instead of a walk. */
static void remember_threads(struct shim *shim) {
  struct memory_watch *watch = &shim->memory;
  struct pids pids = {0};
  bool all = true;
  push_listed(&pids, watch->children);
  while (all && pids.count > 0) {
    struct process_stat process;
    char path[40];
    const pid_t pid = pids.entries[--pids.count];
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *tasks = process_stat_read(pid, &process) ? opendir(path) : NULL;
    const struct dirent *task;
    all = tasks != NULL;
    while (all && (task = readdir(tasks)) != NULL)
      if (task->d_name[0] != '.') all = remember_thread(watch, pid, task->d_name);
    if (tasks != NULL) closedir(tasks);
    if (all) push_children(&pids, &process);
  }
  free(pids.entries);
  if (!all || !threads_have_run(watch, &watch->threads_run)) forget_threads(watch);
  /* Something may have begun while they were gathered: the next look decides whether they are all. */
  watch->trusted = 0;
}

static struct finding look(const struct shim *shim, enum depth depth) {
  struct pids pids = {0};
  struct finding finding = {0};
  push_listed(&pids, shim->memory.children);
  while (pids.count > 0) {
    struct process_stat process;
    const pid_t pid = pids.entries[--pids.count];
    if (!process_stat_read(pid, &process)) continue;
    finding.cpu_ticks += process.cpu_ticks;
    finding.rss_pages += process.rss_pages;
    if (depth != GLANCE) finding.memory_kb += memory_kb(pid, depth == EXACT_SUM);
    push_children(&pids, &process);
  }
  free(pids.entries);
  return finding;
}

void memory_begin(struct shim *shim, uint64_t bytes_max) {
  if (bytes_max == 0) return;
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)shim->shim_pid, (int)shim->shim_pid);
  const int children = open(path, O_RDONLY | O_CLOEXEC);
  if (children < 0) return;
  shim->memory = (struct memory_watch){.bytes_max = bytes_max, .children = children, .pace_us = PACE_FIRST_US, .looked_us = shim->started_us};
  shim->deadlines[DEADLINE_MEMORY] = shim->started_us + PACE_FIRST_US;
}

/* Whether it is known, for less than a look, that nothing has run since. With a control group one small file tells. */
static bool has_slept(struct shim *shim) {
  struct memory_watch *watch = &shim->memory;
  uint64_t cpu_us, run;
  if (!shim->group.entered || !cgroup_read(shim->group.directory, "cpu.stat", "usage_usec", &cpu_us)) {
    if (watch->thread_count > 0 && (!threads_have_run(watch, &run) || run != watch->threads_run)) forget_threads(watch);
    if (watch->thread_count == 0 || watch->trusted == 0) return false;
    watch->trusted--;
    return true;
  }
  const bool slept = cpu_us == shim->memory.cgroup_cpu_us;
  shim->memory.cgroup_cpu_us = cpu_us;
  return slept;
}

/* Returns how much the tree has done: processor time in per cent of one, and growth in per cent of the limit. */
static uint64_t measure(struct shim *shim, int64_t now) {
  struct memory_watch *watch = &shim->memory;
  struct finding finding = look(shim, GLANCE);
  if (finding.cpu_ticks == watch->cpu_ticks && finding.rss_pages == watch->rss_pages) return 0;
  finding = look(shim, SUM);
  const uint64_t limit_kb = watch->bytes_max / 1024;
  if (finding.memory_kb > limit_kb) finding.memory_kb = look(shim, EXACT_SUM).memory_kb;
  if (finding.memory_kb > limit_kb) {
    watch->exceeded = true;
    stop_begin(shim, "oom", 0);
  }
  if (finding.memory_kb > watch->peak_kb) watch->peak_kb = finding.memory_kb;
  const uint64_t elapsed_ms = (uint64_t)(now - watch->looked_us) / 1000 + 1;
  const uint64_t cpu_ms = finding.cpu_ticks > watch->cpu_ticks ? (finding.cpu_ticks - watch->cpu_ticks) * 1000 / (uint64_t)sysconf(_SC_CLK_TCK) : 0;
  const uint64_t page_kb = (uint64_t)sysconf(_SC_PAGESIZE) / 1024;
  const uint64_t grown_kb = finding.rss_pages > watch->rss_pages ? (finding.rss_pages - watch->rss_pages) * page_kb : 0;
  watch->cpu_ticks = finding.cpu_ticks;
  watch->rss_pages = finding.rss_pages;
  return 1 + cpu_ms * 100 / elapsed_ms + grown_kb * 100 / (limit_kb + 1);
}

void memory_look(struct shim *shim) {
  struct memory_watch *watch = &shim->memory;
  const int64_t now = monotonic_us();
  const uint64_t activity = has_slept(shim) ? 0 : measure(shim, now);
  /* A little work, as of a program that waits in a loop, keeps the pace; much of it asks for the quickest. */
  if (activity > 5) watch->pace_us = PACE_FIRST_US;
  else if (activity == 0) watch->pace_us = watch->pace_us * 2 < PACE_MAX_US ? watch->pace_us * 2 : PACE_MAX_US;
  if (activity != 0) {
    forget_threads(watch);
  } else if (watch->pace_us == PACE_MAX_US && !shim->group.entered) {
    if (watch->thread_count == 0) remember_threads(shim);
    else if (watch->trusted == 0) watch->trusted = TRUSTED_LOOKS;
  }
  watch->looked_us = now;
  shim->deadlines[DEADLINE_MEMORY] = shim->empty ? NEVER : now + watch->pace_us;
}
