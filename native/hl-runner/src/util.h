/* Small things every part needs: clocks, exact writes, the process's own title, and what /proc says about a process. */
#ifndef HL_UTIL_H
#define HL_UTIL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Never reached: a deadline that is not set. */
#define NEVER INT64_MAX

int64_t monotonic_us(void);
uint64_t wall_ms(void);

/* Writes all of it or says false (errno is set). */
bool write_all(int fd, const void *bytes, size_t length);

/* Reads up to capacity-1 bytes of a small file and ends them with a NUL; -1 when it cannot. */
ssize_t read_small_file(int directory, const char *path, char *text, size_t capacity);

struct process_stat {
  pid_t pid, parent, group;
  uint64_t cpu_ticks; /* its own and those of the children that it has waited for */
  uint64_t rss_pages;
  uint32_t threads;
  bool zombie;          /* and none of its threads runs any more */
  uint64_t start_ticks; /* field 22; with the pid and the boot it names a process for good */
};

bool process_stat_read(pid_t pid, struct process_stat *stat);

/* Remembers where argv and the environment live; later titles overwrite both, so `ps` shows what a process is for and no value of the environment (X4). */
void title_area(int argc, char **argv, char **environment);
/* `ps` then shows "hl-runner: ROLE" or "hl-runner: ROLE DETAIL". */
void title_set(const char *role, const char *detail);

/* One line on stderr. Only for the resident: a shim has no stderr. */
void complain(const char *what, const char *about, int error);

#endif
