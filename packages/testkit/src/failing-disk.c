/*
 * A disk that fails, for a program that is started with this library in LD_PRELOAD: calls that change files below a folder fail with an
 * error, and are counted. Folder, error and count stand in the file at HL_FAILING_CONTROL, which is mapped: who started the program writes
 * and reads it while it runs. Nothing is done to reading, nor to what the program writes elsewhere.
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

/* As failing-disk.ts has it: three errors (0: works), how many calls have failed, and the real path of the folder. */
struct control {
  _Atomic uint32_t write_error;
  _Atomic uint32_t sync_error;
  _Atomic uint32_t change_error;
  _Atomic uint32_t failed;
  char folder[PATH_MAX];
};

static struct control *control;

__attribute__((constructor)) static void begin(void) {
  const char *path = getenv("HL_FAILING_CONTROL");
  if (path == NULL) return;
  int file = open(path, O_RDWR | O_CLOEXEC);
  if (file < 0) return;
  void *page = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
  close(file);
  if (page != MAP_FAILED) control = page;
}

static int is_below(const char *path) {
  size_t length = strlen(control->folder);
  return length > 0 && strncmp(path, control->folder, length) == 0 && (path[length] == '/' || path[length] == '\0');
}

/* Whether the call is to fail; errno is set then. */
static int fails(const _Atomic uint32_t *error, int is_meant) {
  uint32_t code = atomic_load(error);
  if (code == 0 || !is_meant) return 0;
  atomic_fetch_add(&control->failed, 1);
  errno = (int)code;
  return 1;
}

static int is_armed(const _Atomic uint32_t *error) { return atomic_load(error) != 0; }

static int is_descriptor_below(int file) {
  char link[64];
  char path[PATH_MAX];
  snprintf(link, sizeof link, "/proc/self/fd/%d", file);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return 0;
  path[length] = '\0';
  return is_below(path);
}

/* Absolute paths only: the program under test uses no others. */
static int is_path_below(const char *path) { return path != NULL && path[0] == '/' && is_below(path); }

#define NEXT(type, name) \
  static type next; \
  if (next == NULL) next = (type)dlsym(RTLD_NEXT, name)

#define FAIL_DESCRIPTOR(which, file) \
  if (control != NULL && is_armed(&control->which) && fails(&control->which, is_descriptor_below(file))) return -1
#define FAIL_PATH(which, path) \
  if (control != NULL && is_armed(&control->which) && fails(&control->which, is_path_below(path))) return -1

typedef ssize_t (*write_call)(int, const void *, size_t);
ssize_t write(int file, const void *bytes, size_t size) {
  NEXT(write_call, "write");
  FAIL_DESCRIPTOR(write_error, file);
  return next(file, bytes, size);
}

typedef ssize_t (*pwrite_call)(int, const void *, size_t, off64_t);
ssize_t pwrite64(int file, const void *bytes, size_t size, off64_t at) {
  NEXT(pwrite_call, "pwrite64");
  FAIL_DESCRIPTOR(write_error, file);
  return next(file, bytes, size, at);
}
ssize_t pwrite(int file, const void *bytes, size_t size, off_t at) { return pwrite64(file, bytes, size, at); }

typedef ssize_t (*writev_call)(int, const struct iovec *, int);
ssize_t writev(int file, const struct iovec *parts, int count) {
  NEXT(writev_call, "writev");
  FAIL_DESCRIPTOR(write_error, file);
  return next(file, parts, count);
}

typedef ssize_t (*pwritev_call)(int, const struct iovec *, int, off64_t);
ssize_t pwritev64(int file, const struct iovec *parts, int count, off64_t at) {
  NEXT(pwritev_call, "pwritev64");
  FAIL_DESCRIPTOR(write_error, file);
  return next(file, parts, count, at);
}
ssize_t pwritev(int file, const struct iovec *parts, int count, off_t at) { return pwritev64(file, parts, count, at); }

typedef int (*truncate_call)(int, off64_t);
int ftruncate64(int file, off64_t size) {
  NEXT(truncate_call, "ftruncate64");
  FAIL_DESCRIPTOR(write_error, file);
  return next(file, size);
}
int ftruncate(int file, off_t size) { return ftruncate64(file, size); }

typedef int (*sync_call)(int);
int fsync(int file) {
  NEXT(sync_call, "fsync");
  FAIL_DESCRIPTOR(sync_error, file);
  return next(file);
}
int fdatasync(int file) {
  NEXT(sync_call, "fdatasync");
  FAIL_DESCRIPTOR(sync_error, file);
  return next(file);
}

static int opens_for_change(int flags) { return (flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC)) != 0; }

typedef int (*open_call)(const char *, int, ...);
int open64(const char *path, int flags, ...) {
  NEXT(open_call, "open64");
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (opens_for_change(flags)) FAIL_PATH(change_error, path);
  return next(path, flags, mode);
}
int open(const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return open64(path, flags, mode);
}

typedef int (*openat_call)(int, const char *, int, ...);
int openat64(int base, const char *path, int flags, ...) {
  NEXT(openat_call, "openat64");
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  if (opens_for_change(flags)) FAIL_PATH(change_error, path);
  return next(base, path, flags, mode);
}
int openat(int base, const char *path, int flags, ...) {
  va_list more;
  va_start(more, flags);
  mode_t mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(more, mode_t) : 0;
  va_end(more);
  return openat64(base, path, flags, mode);
}

typedef int (*rename_call)(const char *, const char *);
int rename(const char *from, const char *to) {
  NEXT(rename_call, "rename");
  FAIL_PATH(change_error, from);
  return next(from, to);
}

typedef int (*unlink_call)(const char *);
int unlink(const char *path) {
  NEXT(unlink_call, "unlink");
  FAIL_PATH(change_error, path);
  return next(path);
}

typedef int (*mkdir_call)(const char *, mode_t);
int mkdir(const char *path, mode_t mode) {
  NEXT(mkdir_call, "mkdir");
  FAIL_PATH(change_error, path);
  return next(path, mode);
}
