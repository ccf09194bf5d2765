/* See remove.h. The tree is flattened instead of walked: a folder inside a folder of the root is moved up into the root, so everything that is
 * ever open is the root and one folder in it, and nothing has to be remembered on the way. */
#include "remove.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MOVE_ATTEMPTS_MAX 1000

struct removal {
  int root;
  dev_t device;
  uint64_t moved; /* the next number to name a moved folder with */
  int error;      /* the first one */
};

static void note(struct removal *removal, int error) {
  if (removal->error == 0) removal->error = error;
}

/* Its owner may take back every permission of a folder (read-only module caches do); then we give them to ourselves. */
static bool make_accessible(int parent, const char *name) {
  char path[40];
  const int fd = openat(parent, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (fd < 0) return false;
  snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
  const bool changed = chmod(path, 0700) == 0;
  close(fd);
  return changed;
}

static int open_folder_once(int parent, const char *name, bool same_mount) {
  struct open_how how = {.flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC};
  if (same_mount) {
    how.resolve = RESOLVE_NO_XDEV | RESOLVE_NO_SYMLINKS | RESOLVE_BENEATH;
    const int fd = (int)syscall(SYS_openat2, parent, name, &how, sizeof how);
    if (fd >= 0 || errno != ENOSYS) return fd;
  }
  return openat(parent, name, (int)how.flags);
}

/* -1 with errno; EXDEV for what is mounted there. */
static int open_folder(int parent, const char *name, bool same_mount) {
  int fd = open_folder_once(parent, name, same_mount);
  if (fd < 0 && errno == EACCES && make_accessible(parent, name)) fd = open_folder_once(parent, name, same_mount);
  struct stat about;
  if (fd >= 0 && fstat(fd, &about) == 0 && (about.st_mode & 0700) != 0700) (void)fchmod(fd, 0700);
  return fd;
}

static bool on_this_device(const struct removal *removal, int fd) {
  struct stat about;
  return fstat(fd, &about) == 0 && about.st_dev == removal->device;
}

static bool move_up(struct removal *removal, int folder, const char *name) {
  bool opened_up = false;
  for (int attempt = 0; attempt < MOVE_ATTEMPTS_MAX; attempt++) {
    char up[32];
    snprintf(up, sizeof up, ".removed-%llu", (unsigned long long)removal->moved++);
    if (renameat(folder, name, removal->root, up) == 0) return true;
    /* Its `..` changes, so it must be writable itself. */
    if (errno == EACCES && !opened_up && (opened_up = make_accessible(folder, name))) continue;
    /* A folder or file of that name is the program's. */
    if (errno != ENOTEMPTY && errno != EEXIST && errno != ENOTDIR) return false;
  }
  return false;
}

/* True when the entry is gone from the folder. */
static bool remove_entry(struct removal *removal, int folder, const char *name) {
  if (unlinkat(folder, name, 0) == 0 || errno == ENOENT) return true;
  if (errno == EISDIR) {
    if (unlinkat(folder, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return true;
    if ((errno == ENOTEMPTY || errno == EEXIST) && folder != removal->root && move_up(removal, folder, name)) return true;
  }
  return false;
}

static bool is_dots(const char *name) {
  return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

static void empty_folder(struct removal *removal, int root, const char *name) {
  const int fd = open_folder(root, name, true);
  DIR *folder = fd < 0 || !on_this_device(removal, fd) ? NULL : fdopendir(fd);
  if (folder == NULL) {
    note(removal, fd < 0 ? errno : EXDEV);
    if (fd >= 0) close(fd);
    return;
  }
  /* A listing that shrinks while it is read may skip entries: read again as long as that brings something. */
  for (bool progress = true; progress;) {
    progress = false;
    rewinddir(folder);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL)
      if (!is_dots(entry->d_name) && remove_entry(removal, fd, entry->d_name)) progress = true;
  }
  closedir(folder);
}

static void empty_root(struct removal *removal, DIR *folder) {
  for (bool progress = true; progress;) {
    progress = false;
    removal->error = 0;
    rewinddir(folder);
    const struct dirent *entry;
    while ((entry = readdir(folder)) != NULL) {
      if (is_dots(entry->d_name)) continue;
      bool gone = remove_entry(removal, removal->root, entry->d_name);
      if (!gone && (errno == ENOTEMPTY || errno == EEXIST)) {
        empty_folder(removal, removal->root, entry->d_name);
        gone = unlinkat(removal->root, entry->d_name, AT_REMOVEDIR) == 0;
      }
      if (!gone) note(removal, errno);
      progress |= gone;
    }
  }
}

int remove_folder_at(int parent, const char *name) {
  if (name[0] == 0 || is_dots(name) || strchr(name, '/') != NULL) return EINVAL;
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  if (errno != ENOTEMPTY && errno != EEXIST) return errno;
  struct stat about;
  const int fd = open_folder(parent, name, false);
  DIR *folder = fd < 0 || fstat(fd, &about) != 0 ? NULL : fdopendir(fd);
  if (folder == NULL) {
    const int error = errno == ELOOP ? ENOTDIR : errno;
    if (fd >= 0) close(fd);
    return error == ENOENT ? 0 : error;
  }
  struct removal removal = {.root = fd, .device = about.st_dev};
  empty_root(&removal, folder);
  closedir(folder);
  if (unlinkat(parent, name, AT_REMOVEDIR) == 0 || errno == ENOENT) return 0;
  return removal.error != 0 ? removal.error : errno;
}

int remove_folder(const char *path) {
  const char *name = strrchr(path, '/');
  if (path[0] != '/' || name == NULL) return EINVAL;
  name++;
  char parent[PATH_MAX];
  const size_t length = name == path + 1 ? 1 : (size_t)(name - 1 - path);
  if (length >= sizeof parent) return ENAMETOOLONG;
  memcpy(parent, path, length);
  parent[length] = 0;
  const int fd = open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return errno == ENOENT ? 0 : errno;
  const int error = remove_folder_at(fd, name);
  close(fd);
  return error;
}
