/* See environment.h. */
#include "environment.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PIECE_BYTES 8192

enum finding { HOLDS, HOLDS_NOT, SHOWS_NONE };

/* Compares as the bytes come: `matched` bytes of the entry so far, or none until the next NUL. */
static enum finding look(const char *path, const char *entry) {
  const int fd = open(path, O_RDONLY | O_CLOEXEC);
  if (fd < 0) return SHOWS_NONE;
  const size_t length = strlen(entry) + 1; /* with its NUL */
  char piece[PIECE_BYTES];
  enum finding finding = SHOWS_NONE;
  size_t matched = 0;
  bool matching = true;
  ssize_t got;
  while (finding != HOLDS && ((got = read(fd, piece, sizeof piece)) > 0 || (got < 0 && errno == EINTR))) {
    for (ssize_t i = 0; i < got && finding != HOLDS; i++) {
      finding = HOLDS_NOT;
      matching = matching && piece[i] == entry[matched];
      if (matching && ++matched == length) finding = HOLDS;
      if (piece[i] == 0) {
        matching = true;
        matched = 0;
      }
    }
  }
  close(fd);
  return finding;
}

bool environment_holds(pid_t pid, const char *entry) {
  char path[64];
  snprintf(path, sizeof path, "/proc/%d/environ", (int)pid);
  enum finding finding = look(path, entry);
  if (finding != SHOWS_NONE) return finding == HOLDS;
  /* A process whose first thread has ended shows nothing there, while its other threads run on. */
  snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
  DIR *tasks = opendir(path);
  if (tasks == NULL) return false;
  const struct dirent *task;
  while (finding == SHOWS_NONE && (task = readdir(tasks)) != NULL) {
    const int size = snprintf(path, sizeof path, "/proc/%d/task/%.20s/environ", (int)pid, task->d_name);
    if (task->d_name[0] != '.' && size > 0 && (size_t)size < sizeof path) finding = look(path, entry);
  }
  closedir(tasks);
  return finding == HOLDS;
}
