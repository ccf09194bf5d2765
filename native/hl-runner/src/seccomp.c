/* See seccomp.h. The filter is a binary search over the numbers of the refused calls. A start pays for its length (the kernel compiles it), and for its depth
 * (the kernel walks it once for each call that it knows, so that what is allowed by its number alone costs nothing afterwards).
 *
 * What sets a set-user-id bit (chmod, open and their kin) is not refused: no_new_privs makes such a bit powerless for whoever is in here. */
#include "seccomp.h"

#include <errno.h>
#include <linux/audit.h>
#include <linux/sched.h>
#include <linux/seccomp.h>
#include <stdint.h>
#include <sys/ioctl.h>
#include <sys/personality.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifdef __x86_64__
#define NATIVE_ARCHITECTURE AUDIT_ARCH_X86_64
/* The numbers of x32 are those of x86_64 and this bit. */
#define FOREIGN_CALLS_FROM 0x40000000u
#elif defined(__aarch64__)
#define NATIVE_ARCHITECTURE AUDIT_ARCH_AARCH64
#endif

/* Newer than the headers of a supported distribution may be; from 424 on the numbers are the same on every processor. */
#define CALL_IO_URING_SETUP 425
#define CALL_IO_URING_ENTER 426
#define CALL_IO_URING_REGISTER 427
#define CALL_OPEN_TREE 428
#define CALL_MOVE_MOUNT 429
#define CALL_FSOPEN 430
#define CALL_FSCONFIG 431
#define CALL_FSMOUNT 432
#define CALL_FSPICK 433
#define CALL_CLONE3 435
#define CALL_PIDFD_GETFD 438
#define CALL_MOUNT_SETATTR 442
#define CALL_QUOTACTL_FD 443
#define CALL_OPEN_TREE_ATTR 467

#define NAMESPACE_FLAGS (CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET)

enum verdict {
  ALLOWED, /* what no rule names */
  REFUSED,
  NAMESPACE,        /* refused where namespaces are */
  NAMESPACE_CLONE,  /* the same, by its flags */
  NAMESPACE_CLONE3, /* the same; its flags lie in memory, which a filter cannot read, so there is no such call and C libraries take clone */
  OF_TERMINALS,
  OF_SOCKETS,
  OF_PERSONALITIES,
  OF_LIMITS,
  VERDICT_COUNT,
};

struct rule {
  uint32_t call;
  enum verdict verdict;
};

#ifdef NATIVE_ARCHITECTURE
/* adjtimex and clock_adjtime are not here: they also read, and what sets needs a capability that nobody in here has. */
static const struct rule rules[] = {
    /* Other processes. */
    {SYS_ptrace, REFUSED}, {SYS_process_vm_readv, REFUSED}, {SYS_process_vm_writev, REFUSED}, {SYS_kcmp, REFUSED}, {CALL_PIDFD_GETFD, REFUSED},
    /* The file tree. */
    {SYS_mount, REFUSED}, {SYS_umount2, REFUSED}, {SYS_pivot_root, REFUSED}, {SYS_chroot, REFUSED}, {CALL_MOVE_MOUNT, REFUSED}, {CALL_OPEN_TREE, REFUSED},
    {CALL_OPEN_TREE_ATTR, REFUSED}, {CALL_FSOPEN, REFUSED}, {CALL_FSCONFIG, REFUSED}, {CALL_FSMOUNT, REFUSED}, {CALL_FSPICK, REFUSED},
    {CALL_MOUNT_SETATTR, REFUSED}, {SYS_open_by_handle_at, REFUSED}, {SYS_fanotify_init, REFUSED}, {SYS_quotactl, REFUSED}, {CALL_QUOTACTL_FD, REFUSED},
    /* The machine. */
    {SYS_init_module, REFUSED}, {SYS_finit_module, REFUSED}, {SYS_delete_module, REFUSED}, {SYS_kexec_load, REFUSED}, {SYS_kexec_file_load, REFUSED},
    {SYS_reboot, REFUSED}, {SYS_swapon, REFUSED}, {SYS_swapoff, REFUSED}, {SYS_acct, REFUSED}, {SYS_syslog, REFUSED}, {SYS_vhangup, REFUSED},
    {SYS_settimeofday, REFUSED}, {SYS_clock_settime, REFUSED}, {SYS_sethostname, REFUSED}, {SYS_setdomainname, REFUSED}, {SYS_nfsservctl, REFUSED},
    {SYS_lookup_dcookie, REFUSED},
#ifdef __x86_64__
    {SYS_iopl, REFUSED}, {SYS_ioperm, REFUSED},
#endif
    /* Large parts of the kernel that most of its holes were found in. */
    {SYS_bpf, REFUSED}, {SYS_perf_event_open, REFUSED}, {SYS_userfaultfd, REFUSED}, {SYS_keyctl, REFUSED}, {SYS_add_key, REFUSED}, {SYS_request_key, REFUSED},
    {CALL_IO_URING_SETUP, REFUSED}, {CALL_IO_URING_ENTER, REFUSED}, {CALL_IO_URING_REGISTER, REFUSED},
    /* In a user namespace of its own a program has every capability again. */
    {SYS_unshare, NAMESPACE}, {SYS_setns, NAMESPACE}, {SYS_clone, NAMESPACE_CLONE}, {CALL_CLONE3, NAMESPACE_CLONE3},
    /* By what they are asked for. */
    {SYS_ioctl, OF_TERMINALS}, {SYS_socket, OF_SOCKETS}, {SYS_socketpair, OF_SOCKETS}, {SYS_personality, OF_PERSONALITIES},
    {SYS_prlimit64, OF_LIMITS},
};

#define COUNT_OF(values) (sizeof(values) / sizeof(values)[0])
#define RULE_COUNT COUNT_OF(rules)
/* Rules that are compared one by one at the end of a search. */
#define LEAF_RULES_MAX 6
/* Returns, what looks at arguments, and the beginning. */
#define OTHER_INSTRUCTIONS_MAX 48
/* A comparison for each rule, and less than a third as many steps of the search. Also: every jump reaches its target. */
_Static_assert(RULE_COUNT + RULE_COUNT / 3 + OTHER_INSTRUCTIONS_MAX <= SECCOMP_INSTRUCTIONS_MAX, "the filter has outgrown its room");

#define REFUSAL(error) (SECCOMP_RET_ERRNO | (uint32_t)(error))
/* Both processors are little-endian, and every argument that is looked at is an int to the kernel (but for one pointer): the rest of its register means nothing. */
#define ARGUMENT(number) (offsetof(struct seccomp_data, args) + (number) * sizeof(uint64_t))

/* Where what is decided in one way goes on, by verdict. */
typedef size_t target_table[VERDICT_COUNT];

/* The program is written from its end to its beginning: jumps lead forward only, so every target is there before the jump. */
static size_t put(struct seccomp_filter *filter, uint16_t code, size_t operand) {
  const size_t place = SECCOMP_INSTRUCTIONS_MAX - ++filter->length;
  filter->instructions[place] = (struct sock_filter){.code = code, .k = (uint32_t)operand};
  return place;
}

static size_t put_return(struct seccomp_filter *filter, uint32_t action) {
  return put(filter, BPF_RET | BPF_K, action);
}

static size_t put_load(struct seccomp_filter *filter, size_t offset) {
  return put(filter, BPF_LD | BPF_W | BPF_ABS, offset);
}

static size_t put_test(struct seccomp_filter *filter, uint16_t test, uint32_t operand, size_t if_true, size_t if_false) {
  const size_t place = put(filter, BPF_JMP | test | BPF_K, operand);
  filter->instructions[place].jt = (uint8_t)(if_true - place - 1);
  filter->instructions[place].jf = (uint8_t)(if_false - place - 1);
  return place;
}

static size_t put_by_value(struct seccomp_filter *filter, size_t argument, const uint32_t *values, size_t count, size_t among, size_t otherwise) {
  size_t next = otherwise;
  for (size_t i = count; i > 0; i--) next = put_test(filter, BPF_JEQ, values[i - 1], among, next);
  return put_load(filter, ARGUMENT(argument));
}

/* Limits of another process may be read only: whoever sets those of a shim, or of the daemon, has them fail or ended, which no right to send signals is needed for. */
static size_t put_limits(struct seccomp_filter *filter, size_t allowed, size_t refused) {
  enum { PROCESS = 0, NEW_LIMIT = 2 };
  put_test(filter, BPF_JEQ, 0, allowed, refused);
  const size_t upper_half = put_load(filter, ARGUMENT(NEW_LIMIT) + sizeof(uint32_t));
  put_test(filter, BPF_JEQ, 0, upper_half, refused);
  const size_t of_another = put_load(filter, ARGUMENT(NEW_LIMIT));
  put_test(filter, BPF_JEQ, 0, allowed, of_another);
  return put_load(filter, ARGUMENT(PROCESS));
}

static void put_verdicts(struct seccomp_filter *filter, target_table targets) {
  /* Both put words into the mouth of whoever sits at the terminal. */
  static const uint32_t of_terminals[] = {TIOCSTI, TIOCLINUX};
  /* Others reach what no namespace holds (AF_VSOCK), or little-used code of the kernel (AF_ALG and many more). */
  static const uint32_t of_sockets[] = {AF_UNIX, AF_INET, AF_INET6, AF_NETLINK};
  static const uint32_t of_personalities[] = {PER_LINUX, PER_LINUX32, ADDR_NO_RANDOMIZE, UINT32_MAX /* only asks */};
  const size_t allowed = put_return(filter, SECCOMP_RET_ALLOW), refused = put_return(filter, REFUSAL(EPERM));
  const size_t unsupported = put_return(filter, REFUSAL(EAFNOSUPPORT));
  targets[ALLOWED] = allowed;
  targets[REFUSED] = targets[NAMESPACE] = refused;
  targets[NAMESPACE_CLONE3] = put_return(filter, REFUSAL(ENOSYS));
  put_test(filter, BPF_JSET, NAMESPACE_FLAGS, refused, allowed);
  targets[NAMESPACE_CLONE] = put_load(filter, ARGUMENT(0));
  targets[OF_TERMINALS] = put_by_value(filter, 1, of_terminals, COUNT_OF(of_terminals), refused, allowed);
  targets[OF_SOCKETS] = put_by_value(filter, 0, of_sockets, COUNT_OF(of_sockets), allowed, unsupported);
  targets[OF_PERSONALITIES] = put_by_value(filter, 0, of_personalities, COUNT_OF(of_personalities), allowed, refused);
  targets[OF_LIMITS] = put_limits(filter, allowed, refused);
}

static size_t put_search(struct seccomp_filter *filter, const struct rule *sorted, size_t count, const target_table targets) {
  if (count > LEAF_RULES_MAX) {
    const size_t middle = count / 2;
    const size_t upper = put_search(filter, sorted + middle, count - middle, targets);
    const size_t lower = put_search(filter, sorted, middle, targets);
    return put_test(filter, BPF_JGE, sorted[middle].call, upper, lower);
  }
  size_t next = targets[ALLOWED];
  for (size_t i = count; i > 0; i--) next = put_test(filter, BPF_JEQ, sorted[i - 1].call, targets[sorted[i - 1].verdict], next);
  return next;
}

static bool applies(enum verdict verdict, bool allow_namespaces) {
  return !allow_namespaces || (verdict != NAMESPACE && verdict != NAMESPACE_CLONE && verdict != NAMESPACE_CLONE3);
}

/* Their order is another one on every processor. */
static size_t sort(struct rule *sorted, bool allow_namespaces) {
  size_t count = 0;
  for (size_t i = 0; i < RULE_COUNT; i++) {
    if (!applies(rules[i].verdict, allow_namespaces)) continue;
    size_t place = count++;
    for (; place > 0 && sorted[place - 1].call > rules[i].call; place--) sorted[place] = sorted[place - 1];
    sorted[place] = rules[i];
  }
  return count;
}

static void make(struct seccomp_filter *filter) {
  struct rule sorted[RULE_COUNT];
  target_table targets;
  put_verdicts(filter, targets);
  size_t next = put_search(filter, sorted, sort(sorted, filter->allows_namespaces), targets);
#ifdef FOREIGN_CALLS_FROM
  next = put_test(filter, BPF_JGE, FOREIGN_CALLS_FROM, targets[REFUSED], next);
#endif
  next = put_load(filter, offsetof(struct seccomp_data, nr));
  /* Another processor's numbers mean other calls. */
  put_test(filter, BPF_JEQ, NATIVE_ARCHITECTURE, next, targets[REFUSED]);
  put_load(filter, offsetof(struct seccomp_data, arch));
}
#endif

bool seccomp_is_offered(void) {
#ifdef NATIVE_ARCHITECTURE
  const uint32_t action = SECCOMP_RET_ERRNO;
  return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
#else
  return false;
#endif
}

void seccomp_make(struct seccomp_filter *filter, bool allow_namespaces) {
  if (filter->length > 0 && filter->allows_namespaces == allow_namespaces) return;
  filter->length = 0;
  filter->allows_namespaces = allow_namespaces;
#ifdef NATIVE_ARCHITECTURE
  make(filter);
#endif
}

bool seccomp_enter(const struct seccomp_filter *filter) {
  const struct sock_fprog program = {.len = (unsigned short)filter->length, .filter = (struct sock_filter *)filter->instructions + SECCOMP_INSTRUCTIONS_MAX - filter->length};
  if (filter->length > 0) return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program) == 0;
  errno = ENOSYS;
  return false;
}
