/* See spare.h. A spare folder has one of a few names in the folder where it is needed, and whoever can rename it has it: no lock, and nothing to forget. */
#include "spare.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#define SPARES_MAX 16
/* A folder never gets smaller on disk; one that was large stays slow to look through. */
#define FOLDER_BYTES_MAX 4096
/* How a file system stores a folder; anything else somebody has asked for. */
#define STORAGE_FLAGS (FS_EXTENT_FL | FS_INDEX_FL | FS_INLINE_DATA_FL)

struct entry_head {
  uint64_t inode;
  int64_t next;
  uint16_t length;
  uint8_t type;
  char name[];
};

/* Takers and givers begin at different places, so that they seldom meet. */
static bool move(int parent, const char *from, const char *to, bool to_spare) {
  char spare[24];
  const unsigned first = (unsigned)getpid();
  for (unsigned i = 0; i < SPARES_MAX; i++) {
    snprintf(spare, sizeof spare, ".spare-%u", (first + i) % SPARES_MAX);
    if (renameat2(parent, to_spare ? from : spare, parent, to_spare ? spare : to, RENAME_NOREPLACE) == 0) return true;
    if (errno != (to_spare ? EEXIST : ENOENT)) return false;
  }
  return false;
}

static bool is_empty(int folder) {
  /* Room for three short names: whatever is left out is one more. */
  _Alignas(struct entry_head) char bytes[512];
  long length;
  while ((length = syscall(SYS_getdents64, folder, bytes, sizeof bytes)) > 0) {
    for (long at = 0; at < length;) {
      const struct entry_head *entry = (const void *)(bytes + at);
      if (strcmp(entry->name, ".") != 0 && strcmp(entry->name, "..") != 0) return false;
      at += entry->length;
    }
  }
  return length == 0;
}

static bool is_as_new(int folder, mode_t mode) {
  struct stat about;
  unsigned flags = 0;
  if (fstat(folder, &about) != 0 || (about.st_mode & 07777) != mode || about.st_uid != geteuid() || about.st_gid != getegid()) return false;
  if (about.st_size > FOLDER_BYTES_MAX) return false;
  if (flistxattr(folder, NULL, 0) > 0) return false;
  if (ioctl(folder, FS_IOC_GETFLAGS, &flags) != 0 && errno != ENOTTY && errno != EOPNOTSUPP) return false;
  return (flags & ~(unsigned)STORAGE_FLAGS) == 0 && is_empty(folder);
}

bool spare_make(int parent, const char *name, mode_t mode) {
  if (move(parent, NULL, name, false)) return true;
  return mkdirat(parent, name, mode) == 0;
}

bool spare_remove(int parent, const char *name, mode_t mode) {
  const int folder = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  const bool given = folder >= 0 && is_as_new(folder, mode) && move(parent, name, NULL, true);
  if (folder >= 0) close(folder);
  return given || unlinkat(parent, name, AT_REMOVEDIR) == 0;
}

/* The folder that holds it, and its name there. */
static int open_parent(const char *path, const char **name) {
  char parent[4096];
  const char *slash = strrchr(path, '/');
  *name = slash == NULL ? path : slash + 1;
  const size_t length = slash == NULL || slash == path ? 1 : (size_t)(slash - path);
  if (slash == NULL || length >= sizeof parent) {
    errno = slash == NULL ? EINVAL : ENAMETOOLONG;
    return -1;
  }
  memcpy(parent, path, length);
  parent[length] = 0;
  return open(parent, O_PATH | O_DIRECTORY | O_CLOEXEC);
}

static bool in_parent(const char *path, mode_t mode, bool (*what)(int, const char *, mode_t)) {
  const char *name;
  const int parent = open_parent(path, &name);
  if (parent < 0) return false;
  const bool done = what(parent, name, mode);
  const int error = errno;
  close(parent);
  errno = error;
  return done;
}

bool spare_make_path(const char *path, mode_t mode) {
  return in_parent(path, mode, spare_make);
}

bool spare_remove_path(const char *path, mode_t mode) {
  return in_parent(path, mode, spare_remove);
}
