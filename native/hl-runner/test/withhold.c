/* A kernel that lacks something: `withhold CALL ERRNO PROGRAM…` executes the program, and the named system call fails with that errno from then on. */
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

static long number_of(const char *call) {
  if (strcmp(call, "seccomp") == 0) return SYS_seccomp;
  if (strcmp(call, "unshare") == 0) return SYS_unshare;
  if (strcmp(call, "capset") == 0) return SYS_capset;
  if (strcmp(call, "landlock_create_ruleset") == 0) return 444;
  return -1;
}

int main(int argc, char **argv) {
  if (argc < 4 || number_of(argv[1]) < 0) return 64;
  struct sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number_of(argv[1]), 0, 1),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)atoi(argv[2])),
      BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
  };
  const struct sock_fprog program = {.len = sizeof instructions / sizeof instructions[0], .filter = instructions};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) != 0) return 1;
  execv(argv[3], argv + 3);
  return 127;
}
