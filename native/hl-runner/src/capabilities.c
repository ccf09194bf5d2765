/* See capabilities.h. */
#include "capabilities.h"

#include <errno.h>
#include <linux/capability.h>
#include <linux/securebits.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/* More than any kernel has: the first that it does not know ends the loop. */
#define CAPABILITIES_MAX 64

/* Exec gives nothing to user number 0, neither does becoming it, and nobody can change that back. */
#define SECURE_BITS                                                                                                                     \
  (SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED | SECBIT_NO_CAP_AMBIENT_RAISE | \
   SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED)

static bool drop_bounding_set(void) {
  for (unsigned long capability = 0; capability < CAPABILITIES_MAX; capability++) {
    if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
    return errno == EINVAL && capability > 0;
  }
  return true;
}

bool capabilities_drop(void) {
  /* Whoever has no right to lower these limits (an ordinary user, mostly) is below them anyway: after no_new_privs, without which there is no sandbox,
   * exec gives nobody more than he has, and that is nothing from here on. */
  if (prctl(PR_SET_SECUREBITS, SECURE_BITS, 0, 0, 0) != 0 && errno != EPERM) return false;
  if (!drop_bounding_set() && errno != EPERM) return false;
  if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) != 0) return false;
  struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
  const struct __user_cap_data_struct none[_LINUX_CAPABILITY_U32S_3] = {{0}};
  return syscall(SYS_capset, &header, none) == 0;
}
