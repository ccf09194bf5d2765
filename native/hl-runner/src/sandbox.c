/* See sandbox.h. The numbers are spelled out here because the kernel headers of a supported distribution are older than the kernels the program meets. */
#include "sandbox.h"

#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_landlock_create_ruleset
#define SYS_landlock_create_ruleset 444
#define SYS_landlock_add_rule 445
#define SYS_landlock_restrict_self 446
#endif

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#define RESOLVE_NO_MAGICLINKS 0x02u
#define RESOLVE_NO_SYMLINKS 0x04u

#define RULESET_VERSION (1u << 0)
#define RULE_PATH_BENEATH 1

#define ACCESS_EXECUTE (1ull << 0)
#define ACCESS_WRITE_FILE (1ull << 1)
#define ACCESS_READ_FILE (1ull << 2)
#define ACCESS_READ_DIR (1ull << 3)
#define ACCESS_TRUNCATE (1ull << 14)
#define ACCESS_IOCTL_DEV (1ull << 15)

#define ACCESS_READ_ONLY (ACCESS_EXECUTE | ACCESS_READ_FILE | ACCESS_READ_DIR)
/* The rights that mean something on a file that is no directory; the kernel refuses a rule that grants a file more. */
#define ACCESS_OF_FILES (ACCESS_EXECUTE | ACCESS_WRITE_FILE | ACCESS_READ_FILE | ACCESS_TRUNCATE | ACCESS_IOCTL_DEV)

#define SCOPE_ABSTRACT_UNIX_SOCKET (1ull << 0)
#define SCOPE_SIGNAL (1ull << 1)

struct open_how_attributes {
  uint64_t flags;
  uint64_t mode;
  uint64_t resolve;
};

struct ruleset_attributes {
  uint64_t handled_access_fs;
  uint64_t handled_access_net;
  uint64_t scoped;
};

struct path_beneath_attributes {
  uint64_t allowed_access;
  int32_t parent_fd;
} __attribute__((packed));

int sandbox_abi(void) {
  static int known = -1;
  if (known < 0) {
    const long abi = syscall(SYS_landlock_create_ruleset, NULL, 0, RULESET_VERSION);
    known = abi < 0 ? 0 : (int)abi;
  }
  return known;
}

/* All file rights of an ABI: what is not handled is not restricted, so everything that is known is handled. */
static uint64_t file_rights(int abi) {
  uint64_t rights = (1ull << 13) - 1; /* execute … make_sym */
  if (abi >= 2) rights |= 1ull << 13; /* refer: rename and link across directories */
  if (abi >= 3) rights |= ACCESS_TRUNCATE;
  if (abi >= 5) rights |= ACCESS_IOCTL_DEV;
  return rights;
}

static bool add_rule(int ruleset, int fd, uint64_t rights) {
  const struct path_beneath_attributes rule = {.allowed_access = rights, .parent_fd = fd};
  return syscall(SYS_landlock_add_rule, ruleset, RULE_PATH_BENEATH, &rule, 0) == 0;
}

bool sandbox_allow_device(int ruleset, int fd) {
  return add_rule(ruleset, fd, file_rights(sandbox_abi()) & ACCESS_OF_FILES & ~ACCESS_EXECUTE);
}

int sandbox_create(const char **what) {
  *what = "Landlock is not offered by this kernel";
  const int abi = sandbox_abi();
  if (abi < 1) {
    errno = ENOSYS;
    return -1;
  }
  struct ruleset_attributes attributes = {.handled_access_fs = file_rights(abi)};
  size_t size = offsetof(struct ruleset_attributes, handled_access_net);
  if (abi >= 6) {
    attributes.scoped = SCOPE_ABSTRACT_UNIX_SOCKET | SCOPE_SIGNAL;
    size = sizeof attributes;
  }
  *what = "the ruleset cannot be created";
  return (int)syscall(SYS_landlock_create_ruleset, &attributes, size, 0); /* close-on-exec by itself */
}

bool sandbox_allow(int ruleset, const char *path, enum sandbox_access access) {
  /* A link grants nothing either: whoever has put it where a folder was judged would choose what is opened. */
  const struct open_how_attributes how = {.flags = O_PATH | O_CLOEXEC, .resolve = RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS};
  const int fd = (int)syscall(SYS_openat2, AT_FDCWD, path, &how, sizeof how);
  /* A path that is not there grants nothing; it is no reason to refuse the command. */
  if (fd < 0) return errno == ENOENT || errno == ENOTDIR || errno == ELOOP;
  const uint64_t all = file_rights(sandbox_abi()), rights = access == SANDBOX_READ ? all & ACCESS_READ_ONLY : all;
  struct stat about;
  bool added = fstat(fd, &about) == 0;
  if (added) added = add_rule(ruleset, fd, S_ISDIR(about.st_mode) ? rights : rights & ACCESS_OF_FILES);
  const int error = errno;
  close(fd);
  errno = error;
  return added;
}

bool sandbox_enter(int ruleset) {
  return syscall(SYS_landlock_restrict_self, ruleset, 0) == 0;
}
