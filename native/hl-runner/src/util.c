/* See util.h. */
#include "util.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

int64_t monotonic_us(void) {
  struct timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

uint64_t wall_ms(void) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  return (uint64_t)now.tv_sec * 1000u + (uint64_t)now.tv_nsec / 1000000u;
}

bool write_all(int fd, const void *bytes, size_t length) {
  const char *next = bytes;
  while (length > 0) {
    const ssize_t wrote = write(fd, next, length);
    if (wrote < 0) {
      if (errno == EINTR) continue;
      return false;
    }
    next += wrote;
    length -= (size_t)wrote;
  }
  return true;
}

ssize_t read_small_file(int directory, const char *path, char *text, size_t capacity) {
  const int fd = openat(directory, path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return -1;
  ssize_t length;
  do length = read(fd, text, capacity - 1);
  while (length < 0 && errno == EINTR);
  close(fd);
  if (length >= 0) text[length] = 0;
  return length;
}

bool process_stat_read(pid_t pid, struct process_stat *stat) {
  char path[40], text[1024];
  snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
  if (read_small_file(AT_FDCWD, path, text, sizeof text) <= 0) return false;
  /* The name in parentheses is chosen by the process and may itself hold parentheses and spaces: only the last one ends it. */
  const char *after_name = strrchr(text, ')');
  if (after_name == NULL || after_name[1] != ' ') return false;
  const char *field = after_name + 2;
  *stat = (struct process_stat){.pid = pid};
  const bool ended = *field == 'Z' || *field == 'X';
  for (int number = 3; number < 24; number++) {
    field = strchr(field, ' ');
    if (field == NULL) return false;
    field++;
    if (number + 1 == 4) stat->parent = (pid_t)strtol(field, NULL, 10);
    if (number + 1 == 5) stat->group = (pid_t)strtol(field, NULL, 10);
    if (number + 1 >= 14 && number + 1 <= 17) stat->cpu_ticks += strtoull(field, NULL, 10);
    if (number + 1 == 20) stat->threads = (uint32_t)strtoul(field, NULL, 10);
    if (number + 1 == 24) stat->rss_pages = strtoull(field, NULL, 10);
    if (number + 1 == 20) stat->zombie = ended && strtol(field, NULL, 10) <= 1;
    if (number + 1 == 22) stat->start_ticks = strtoull(field, NULL, 10);
  }
  return true;
}

static char *title_start;
static size_t title_capacity;

void title_area(int argc, char **argv, char **environment) {
  char *end = NULL;
  for (int i = 0; i < argc; i++)
    if (end == NULL || argv[i] == end) end = argv[i] + strlen(argv[i]) + 1;
  for (int i = 0; environment[i] != NULL; i++)
    if (environment[i] == end) end = environment[i] + strlen(environment[i]) + 1;
  title_start = argv[0];
  title_capacity = end == NULL ? 0 : (size_t)(end - argv[0]);
}

void title_set(const char *role, const char *detail) {
  if (title_capacity < 2) return;
  memset(title_start, 0, title_capacity);
  snprintf(title_start, title_capacity, detail == NULL ? "hl-runner: %s" : "hl-runner: %s %s", role, detail);
}

void complain(const char *what, const char *about, int error) {
  char line[512];
  const int length = snprintf(line, sizeof line, "hl-runner: %s%s%s%s%s\n", what, about == NULL ? "" : " ", about == NULL ? "" : about,
                              error == 0 ? "" : ": ", error == 0 ? "" : strerror(error));
  if (length > 0) write_all(STDERR_FILENO, line, (size_t)length < sizeof line ? (size_t)length : sizeof line - 1);
}
