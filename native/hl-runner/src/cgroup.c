/* See cgroup.h. */
#include "cgroup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "util.h"

#define LEAF "runner"
#define NESTED_MAX 32
#define FILE_BYTES 4096

bool cgroup_write(int group, const char *file, const char *text) {
  const int fd = openat(group, file, O_WRONLY | O_CLOEXEC);
  if (fd < 0) return false;
  const bool written = write_all(fd, text, strlen(text));
  const int error = errno;
  close(fd);
  errno = error;
  return written;
}

bool cgroup_read(int group, const char *file, const char *key, uint64_t *number) {
  char text[FILE_BYTES];
  const size_t length = strlen(key);
  if (read_small_file(group, file, text, sizeof text) <= 0) return false;
  for (const char *line = text; line != NULL && *line != 0; line = strchr(line, '\n')) {
    if (*line == '\n') line++;
    if (strncmp(line, key, length) != 0 || (length > 0 && line[length] != ' ')) continue;
    const char *digits = line + length + (length > 0);
    if (*digits < '0' || *digits > '9') return false;
    *number = strtoull(digits, NULL, 10);
    return true;
  }
  return false;
}

bool cgroup_kill(int group) {
  return cgroup_write(group, "cgroup.kill", "1");
}

bool cgroup_populated(int events) {
  char text[256];
  const ssize_t length = pread(events, text, sizeof text - 1, 0);
  if (length <= 0) return false;
  text[length] = 0;
  return strstr(text, "populated 1") != NULL;
}

static int remove_group(int parent, const char *name, int depth) {
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (errno != EBUSY || depth == 0) return errno;
  const int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  DIR *group = fd < 0 ? NULL : fdopendir(fd);
  if (group == NULL) {
    if (fd >= 0) close(fd);
    return EBUSY;
  }
  const struct dirent *entry;
  while ((entry = readdir(group)) != NULL)
    if (entry->d_type == DT_DIR && entry->d_name[0] != '.') (void)remove_group(fd, entry->d_name, depth - 1);
  closedir(group);
  return unlinkat(parent, name, AT_REMOVEDIR) == 0 ? 0 : errno;
}

int cgroup_remove(int parent, const char *name) {
  return remove_group(parent, name, NESTED_MAX);
}

bool cgroup_name_is_dead(const char *name) {
  int pid;
  unsigned long long ticks;
  char rest;
  if (sscanf(name, "run-%9d-%20llu%c", &pid, &ticks, &rest) != 2) return false;
  struct process_stat shim;
  if (process_stat_read(pid, &shim)) return shim.start_ticks != ticks || shim.zombie;
  /* A list of open files that is full for a moment is no proof of death (P3). */
  return kill(pid, 0) != 0 && errno == ESRCH;
}

void cgroup_sweep_dead(const struct cgroup_base *base) {
  if (base->fd < 0) return;
  const int fd = openat(base->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR *folder = fd < 0 ? NULL : fdopendir(fd);
  if (folder == NULL) {
    if (fd >= 0) close(fd);
    return;
  }
  const struct dirent *entry;
  while ((entry = readdir(folder)) != NULL) {
    if (!cgroup_name_is_dead(entry->d_name)) continue;
    const int group = openat(fd, entry->d_name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (group < 0) continue;
    cgroup_kill(group);
    close(group);
    /* What has not ended yet keeps it; the next sweep removes it. */
    (void)cgroup_remove(fd, entry->d_name);
  }
  closedir(folder);
}

/* A path in mountinfo: spaces and the like are written as \ooo. */
static void unescape(char *path) {
  char *to = path;
  for (const char *from = path; *from != 0; from++) {
    const bool octal = from[0] == '\\' && from[1] >= '0' && from[1] <= '3' && from[2] >= '0' && from[2] <= '7' && from[3] >= '0' && from[3] <= '7';
    *to++ = octal ? (char)(((from[1] - '0') << 6) | ((from[2] - '0') << 3) | (from[3] - '0')) : *from;
    if (octal) from += 3;
  }
  *to = 0;
}

/* Our own group's path inside the hierarchy: the line `0::PATH`, in hybrid set-ups one of many. */
static bool own_group(char *path, size_t capacity) {
  char text[FILE_BYTES];
  if (read_small_file(AT_FDCWD, "/proc/self/cgroup", text, sizeof text) <= 0) return false;
  char *line = strncmp(text, "0::", 3) == 0 ? text : strstr(text, "\n0::");
  if (line == NULL) return false;
  line = strstr(line, "0::") + 3;
  line[strcspn(line, "\n")] = 0;
  return snprintf(path, capacity, "%s", line) < (int)capacity;
}

/* Where that is mounted, for the first mount that shows it. */
static bool own_folder(char *folder, size_t capacity) {
  char group[CGROUP_PATH_MAX], *line = NULL;
  size_t size = 0;
  if (!own_group(group, sizeof group)) return false;
  FILE *mounts = fopen("/proc/self/mountinfo", "re");
  if (mounts == NULL) return false;
  bool found = false;
  while (!found && getline(&line, &size, mounts) > 0) {
    char root[CGROUP_PATH_MAX], point[CGROUP_PATH_MAX];
    const char *type = strstr(line, " - ");
    if (type == NULL || strncmp(type, " - cgroup2 ", 11) != 0 || sscanf(line, "%*s %*s %*s %511s %511s", root, point) != 2) continue;
    unescape(root);
    unescape(point);
    const size_t shown = strcmp(root, "/") == 0 ? 0 : strlen(root);
    if (strncmp(group, root, shown) != 0 || (group[shown] != '/' && group[shown] != 0)) continue;
    found = snprintf(folder, capacity, "%s%s", point, group + shown) < (int)capacity;
  }
  free(line);
  fclose(mounts);
  return found;
}

/* Delegated: systemd says so in an attribute, or the folder is our own (and we are not the user whom every folder belongs to). */
static bool was_delegated(const char *folder) {
  char value[8];
  if (getxattr(folder, "user.delegate", value, sizeof value) == 1 && value[0] == '1') return true;
  if (getxattr(folder, "trusted.delegate", value, sizeof value) == 1 && value[0] == '1') return true;
  struct stat about;
  return geteuid() != 0 && stat(folder, &about) == 0 && about.st_uid == geteuid() && access(folder, W_OK) == 0;
}

static bool enable(int fd, const char *controller) {
  char offered[FILE_BYTES], plus[32];
  if (read_small_file(fd, "cgroup.controllers", offered, sizeof offered) < 0) return false;
  offered[strcspn(offered, "\n")] = 0;
  for (const char *word = strtok(offered, " "); word != NULL; word = strtok(NULL, " ")) {
    if (strcmp(word, controller) != 0) continue;
    snprintf(plus, sizeof plus, "+%s", controller);
    return cgroup_write(fd, "cgroup.subtree_control", plus);
  }
  return false;
}

/* A group with processes of its own cannot hand controllers on, so we go into a leaf first. */
static bool settle_in(struct cgroup_base *base, const char **what) {
  char pid[16];
  *what = "the leaf `" LEAF "` cannot be made in the control group";
  if (mkdirat(base->fd, LEAF, 0755) != 0 && errno != EEXIST) return false;
  *what = "the runner cannot move into its control group";
  snprintf(pid, sizeof pid, "%d", (int)getpid());
  if (!cgroup_write(base->fd, LEAF "/cgroup.procs", pid)) return false;
  base->memory = enable(base->fd, "memory");
  base->cpu = enable(base->fd, "cpu");
  base->processes = enable(base->fd, "pids");
  return true;
}

bool cgroup_base_open(struct cgroup_base *base, const char *wanted, const char **what) {
  *base = (struct cgroup_base){.fd = -1};
  if (strcmp(wanted, "off") == 0) return true;
  const bool automatic = strcmp(wanted, "auto") == 0;
  if (automatic && (!own_folder(base->path, sizeof base->path) || !was_delegated(base->path))) return true;
  *what = "the path of the control group is too long";
  if (!automatic && snprintf(base->path, sizeof base->path, "%s", wanted) >= (int)sizeof base->path) {
    errno = ENAMETOOLONG;
    return false;
  }
  *what = "the control group cannot be opened";
  base->fd = open(base->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (base->fd < 0) return false;
  struct statfs system;
  const bool version_2 = fstatfs(base->fd, &system) == 0 && system.f_type == CGROUP2_SUPER_MAGIC;
  /* Only the root of the whole hierarchy has no such file; nobody was given that. */
  if (version_2 && faccessat(base->fd, "cgroup.events", F_OK, 0) == 0) {
    if (settle_in(base, what)) return true;
  } else {
    *what = "not a control group (version 2) below the root";
    errno = EINVAL;
  }
  const int error = errno;
  close(base->fd);
  base->fd = -1;
  errno = error;
  return automatic && !version_2;
}
