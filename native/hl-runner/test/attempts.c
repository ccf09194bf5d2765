/* What a program may try against the kernel: makes each call in a child of its own and prints one line NAME ERROR, OK for no error. The arguments are such that
 * nothing happens where a call is let through: it fails for another reason, or changes only the child.
 * `attempts` makes them as it was started; `attempts --filter` below the filter alone, so that root keeps every capability and only the filter can refuse. */
#include <errno.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timex.h>
#include <sys/wait.h>
#include <unistd.h>

#include "seccomp.h"

#define NOBODY_FD 1000L
#define NOWHERE ((long)"/no/such/path")
#define PLACE ((long)place)

static char place[4096];

struct attempt {
  const char *name;
  long call, arguments[6];
};

static const struct attempt attempts[] = {
    {"ptrace", SYS_ptrace, {0}},
    {"process_vm_readv", SYS_process_vm_readv, {0, 0, 0, 0, 0, 1}},
    {"process_vm_writev", SYS_process_vm_writev, {0, 0, 0, 0, 0, 1}},
    {"kcmp", SYS_kcmp, {0, 0, 99}},
    {"pidfd_getfd", 438, {NOBODY_FD, 0, 0}},
    {"mount", SYS_mount, {0, NOWHERE, 0, 0, 0}},
    {"umount2", SYS_umount2, {NOWHERE, 0}},
    {"pivot_root", SYS_pivot_root, {NOWHERE, NOWHERE}},
    {"chroot", SYS_chroot, {NOWHERE}},
    {"move_mount", 429, {-1, NOWHERE, -1, NOWHERE, 0}},
    {"open_tree", 428, {-1, NOWHERE, 0}},
    {"open_tree_attr", 467, {-1, NOWHERE, 0, 0, 0}},
    {"fsopen", 430, {NOWHERE, 0}},
    {"fsconfig", 431, {NOBODY_FD, 0, 0, 0, 0}},
    {"fsmount", 432, {NOBODY_FD, 0, 0}},
    {"fspick", 433, {-1, NOWHERE, 0}},
    {"mount_setattr", 442, {-1, NOWHERE, 0, 0, 0}},
    {"open_by_handle_at", SYS_open_by_handle_at, {-1, 0, 0}},
    {"fanotify_init", SYS_fanotify_init, {-1, 0}},
    {"quotactl", SYS_quotactl, {-1, NOWHERE, 0, 0}},
    {"quotactl_fd", 443, {NOBODY_FD, -1, 0, 0}},
    {"init_module", SYS_init_module, {0, 0, 0}},
    {"finit_module", SYS_finit_module, {NOBODY_FD, 0, 0}},
    {"delete_module", SYS_delete_module, {NOWHERE, 0}},
    {"kexec_load", SYS_kexec_load, {0, 0, 0, -1}},
    {"kexec_file_load", SYS_kexec_file_load, {-1, -1, 0, 0, -1}},
    {"reboot", SYS_reboot, {0, 0, 0, 0}},
    {"swapon", SYS_swapon, {NOWHERE, 0}},
    {"swapoff", SYS_swapoff, {NOWHERE}},
    {"acct", SYS_acct, {NOWHERE}},
    {"syslog", SYS_syslog, {99, 0, 0}},
    {"vhangup", SYS_vhangup, {0}},
    {"settimeofday", SYS_settimeofday, {0, 0}},
    {"clock_settime", SYS_clock_settime, {99, 0}},
    {"sethostname", SYS_sethostname, {0, -1}},
    {"setdomainname", SYS_setdomainname, {0, -1}},
#ifdef __x86_64__
    {"iopl", SYS_iopl, {0}},
    {"ioperm", SYS_ioperm, {0, 1, 0}},
    {"of_32_bits", -1, {0}},
    {"x32", 0x40000000L + SYS_getpid, {0}},
#endif
    {"bpf", SYS_bpf, {-1, 0, 0}},
    {"perf_event_open", SYS_perf_event_open, {0, 0, -1, -1, -1}},
    {"userfaultfd", SYS_userfaultfd, {1 /* of user mode only */}},
    {"keyctl", SYS_keyctl, {0, -3, 1}},
    {"add_key", SYS_add_key, {0, 0, 0, 0, 0}},
    {"request_key", SYS_request_key, {0, 0, 0, 0}},
    {"io_uring_setup", 425, {1, PLACE}},
    {"io_uring_enter", 426, {NOBODY_FD, 0, 0, 0, 0, 0}},
    {"io_uring_register", 427, {NOBODY_FD, 0, 0, 0}},
    {"unshare", SYS_unshare, {CLONE_NEWUSER}},
    {"setns", SYS_setns, {NOBODY_FD, 0}},
    /* Both flags at once are refused by every kernel, so nothing is made; what comes first tells who refuses. */
    {"clone", SYS_clone, {CLONE_NEWUSER | CLONE_FS | SIGCHLD, 0, 0, 0, 0}},
    {"clone_newnet", SYS_clone, {CLONE_NEWNET | CLONE_SIGHAND | SIGCHLD, 0, 0, 0, 0}},
    {"clone3", 435, {0, 0}},
    {"ioctl_tiocsti", SYS_ioctl, {NOBODY_FD, TIOCSTI, 0}},
    {"ioctl_tiocsti_high_bits", SYS_ioctl, {NOBODY_FD, (long)(0xffffffff00000000ull | TIOCSTI), 0}},
    {"ioctl_tioclinux", SYS_ioctl, {NOBODY_FD, TIOCLINUX, 0}},
    {"socket_vsock", SYS_socket, {AF_VSOCK, -1, 0}},
    {"socket_alg", SYS_socket, {AF_ALG, -1, 0}},
    {"socket_packet", SYS_socket, {AF_PACKET, -1, 0}},
    {"socketpair_tipc", SYS_socketpair, {AF_TIPC, SOCK_STREAM, 0, 0}},
    {"prlimit_of_another", SYS_prlimit64, {0x3fffffff, RLIMIT_NOFILE, PLACE, 0}},
    {"personality", SYS_personality, {READ_IMPLIES_EXEC}},
    /* What must go on working. */
    {"may_personality_ask", SYS_personality, {0xffffffff}},
    {"may_personality_same_addresses", SYS_personality, {ADDR_NO_RANDOMIZE}},
    {"may_prlimit_read", SYS_prlimit64, {0, RLIMIT_NOFILE, 0, PLACE}},
    {"may_socket_unix", SYS_socket, {AF_UNIX, SOCK_STREAM, 0}},
    {"may_socket_inet", SYS_socket, {AF_INET, SOCK_STREAM, 0}},
    {"may_socket_inet6", SYS_socket, {AF_INET6, SOCK_DGRAM, 0}},
    {"may_socket_netlink", SYS_socket, {AF_NETLINK, SOCK_RAW, 0}},
    {"may_socketpair", SYS_socketpair, {AF_UNIX, SOCK_STREAM, 0, PLACE}},
    {"may_adjtimex_read", SYS_adjtimex, {PLACE}},
    {"may_getpid", SYS_getpid, {0}},
};

static const char *outcome(int error) {
  return error == 0 ? "OK" : strerrorname_np(error);
}

static int make_call(const struct attempt *attempt) {
  const long *a = attempt->arguments;
  if (attempt->call >= 0) return syscall(attempt->call, a[0], a[1], a[2], a[3], a[4], a[5]) < 0 ? errno : 0;
  long result = 0;
#ifdef __x86_64__
  /* getpid by the door of 32-bit programs. */
  __asm__ volatile("int $0x80" : "=a"(result) : "0"(20L) : "memory");
#endif
  return result < 0 ? (int)-result : 0;
}

static void try_one(const struct attempt *attempt) {
  fflush(stdout);
  const pid_t pid = fork();
  if (pid == 0) _exit(make_call(attempt));
  int status;
  waitpid(pid, &status, 0);
  printf("%s %s\n", attempt->name, WIFSIGNALED(status) ? "SIGNAL" : outcome(WEXITSTATUS(status)));
}

/* Setting the clock needs a capability, which the kernel asks for before it sees that there is no such tick. */
static void try_adjtimex(void) {
  struct timex set = {.modes = ADJ_TICK, .tick = 0};
  const bool refused = adjtimex(&set) < 0;
  printf("adjtimex_set %s\n", outcome(refused ? errno : 0));
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--filter") == 0) {
    static struct seccomp_filter filter;
    seccomp_make(&filter, argc > 2);
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 || !seccomp_enter(&filter)) return 1;
  } else {
    try_adjtimex();
  }
  for (size_t i = 0; i < sizeof attempts / sizeof attempts[0]; i++) try_one(&attempts[i]);
  return 0;
}
